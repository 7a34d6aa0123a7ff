"""The real client libraries of OpenAI and Anthropic, against the gateway."""

import anthropic
import openai
import pytest

from mleb_core.testing.model_server import Reply, ToolCall

TOOLS = [{"type": "function", "function": {"name": "submit", "parameters": {"type": "object", "properties": {}}}}]
WEATHER = Reply(
    "Let me look.", [ToolCall("submit", {"metric": 0.5, "text": "ä\n"})], input_tokens=100, output_tokens=20
)


@pytest.fixture
def clients(serve):
    with (
        serve(lambda asked: WEATHER if asked.body.get("tools") else Reply("four words are here", input_tokens=7)) as at,
        openai.OpenAI(base_url=f"{at.gateway.url}/v1", api_key=at.token, max_retries=0) as chat,
        anthropic.Anthropic(base_url=at.gateway.url, api_key=at.token, max_retries=0) as messages,
    ):
        yield at, chat, messages


def test_openai_chat(clients):
    at, client, _ = clients
    asked = [{"role": "user", "content": "hi"}]
    whole = client.chat.completions.create(model="mleb-model", messages=asked, tools=TOOLS)
    call = whole.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("submit", '{"metric": 0.5, "text": "\\u00e4\\n"}')
    assert whole.usage.prompt_tokens == 100
    with client.chat.completions.stream(model="mleb-model", messages=asked) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content == "four words are here"
    first, second = at.transcript()
    assert first["tokens"]["input"] == 100 and first["cost_usd"] == pytest.approx(100 * 2.5e-6 + 20 * 1e-5)
    assert second["tokens"]["input"] == 7 and second["stream"]
    assert second["reply"]["choices"][0]["message"] == {"role": "assistant", "content": "four words are here"}
    assert at.model.asked[0].body["model"] == "gpt-4o"


def test_openai_stream_usage_comes_when_asked_for_and_only_then(clients):
    at, client, _ = clients
    asked = {"model": "mleb-model", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    plain = list(client.chat.completions.create(**asked))
    assert all(chunk.choices for chunk in plain) and not any(chunk.usage for chunk in plain)
    told = list(client.chat.completions.create(**asked, stream_options={"include_usage": True}))
    assert told[-1].usage.prompt_tokens == 7
    assert [line["tokens"]["input"] for line in at.transcript()] == [7, 7]


def test_openai_streamed_tools_are_put_together(clients):
    at, client, _ = clients
    asked = [{"role": "user", "content": "hi"}]
    with client.chat.completions.stream(model="mleb-model", messages=asked, tools=TOOLS) as stream:
        final = stream.get_final_completion().choices[0]
    kept = at.transcript()[0]["reply"]["choices"][0]
    assert kept["message"]["tool_calls"][0]["function"]["arguments"] == final.message.tool_calls[0].function.arguments
    assert (kept["finish_reason"], kept["message"]["content"]) == ("tool_calls", "Let me look.")


def test_openai_responses(clients):
    at, client, _ = clients
    tools = [{"type": "function", "name": "submit", "parameters": {"type": "object", "properties": {}}}]
    assert client.responses.create(model="mleb-model", input="hi").output_text == "four words are here"
    with client.responses.stream(model="mleb-model", input="hi", tools=tools) as stream:
        final = stream.get_final_response()
    assert final.output[1].name == "submit"
    plain, streamed = at.transcript()
    assert (plain["tokens"]["input"], streamed["tokens"]["input"]) == (7, 100)
    assert streamed["reply"]["output"][0]["content"][0]["text"] == "Let me look."


def test_openai_embeddings(clients):
    at, client, _ = clients
    vectors = client.embeddings.create(model="mleb-model", input=["a", "b"]).data
    again = client.embeddings.create(model="mleb-model", input=["a"], encoding_format="float").data
    assert len(vectors) == 2 and vectors[0].embedding == pytest.approx(again[0].embedding, abs=1e-6)
    assert [line["tokens"]["output"] for line in at.transcript()] == [0, 0]


def test_both_list_the_models_that_the_run_may_ask(clients):
    _, chat, messages = clients
    names = ["gpt-4o", "mleb-model", "openai/gpt-4o"]
    assert sorted(model.id for model in chat.models.list()) == names
    assert sorted(model.id for model in messages.models.list()) == names
    assert chat.models.retrieve("openai/gpt-4o").id == "openai/gpt-4o"


def test_anthropic_messages(clients):
    at, _, client = clients
    asked = {"model": "mleb-model", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    whole = client.messages.create(**asked)
    assert whole.content[0].text == "four words are here" and whole.usage.input_tokens == 7
    tools = [{"name": "submit", "input_schema": {"type": "object"}}]
    with client.messages.stream(**asked, tools=tools) as stream:
        final = stream.get_final_message()
    assert final.content[1].input == {"metric": 0.5, "text": "ä\n"}
    plain, streamed = at.transcript()
    assert (plain["tokens"]["input"], streamed["tokens"]["input"], streamed["tokens"]["output"]) == (7, 100, 20)
    assert streamed["reply"]["content"][1]["input"] == final.content[1].input
    assert streamed["reply"]["stop_reason"] == "tool_use"


def test_an_unknown_token_and_an_unknown_model_are_errors_of_their_own_kind(clients):
    at, chat, messages = clients
    asked = [{"role": "user", "content": "hi"}]
    with pytest.raises(openai.AuthenticationError, match="no run has this token"):
        chat.with_options(api_key="nonsense").chat.completions.create(model="mleb-model", messages=asked)
    with pytest.raises(anthropic.AuthenticationError, match="no run has this token"):
        messages.with_options(api_key="nonsense").messages.create(model="m", max_tokens=1, messages=asked)
    with pytest.raises(openai.NotFoundError, match="this run may ask: gpt-4o, mleb-model, openai/gpt-4o"):
        chat.chat.completions.create(model="gpt-4o-mini", messages=asked)
    assert at.model.asked == []


def test_malformed_tool_calls_pass_as_they_are(serve):
    with serve(
        [Reply(tools=[ToolCall("submit", '{"metric": ')]), Reply(tools=[ToolCall("submit", "{nonsense")])]
    ) as at:
        reply = at.chat().json()
        assert reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"metric": '
        streamed = at.post(
            "/v1/messages",
            {"model": "mleb-model", "max_tokens": 5, "stream": True, "messages": [{"role": "user", "content": "hi"}]},
        )
        assert streamed.status_code == 200
        assert at.transcript()[1]["reply"]["content"][0]["input"] == {"malformed": "{nonsense"}
