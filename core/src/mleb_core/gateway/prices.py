"""What tokens cost, from genai-prices or from prices given by the user."""

from collections.abc import Mapping

from mleb_core.gateway.providers import Provider
from mleb_core.gateway.records import Price, Tokens

__all__ = ["cost_usd"]


def cost_usd(provider: Provider, name: str, tokens: Tokens, own: Mapping[str, Price] = {}) -> float | None:
    """The cost of an exchange in US dollars; None where the price is unknown.

    Args:
        provider: who was asked.
        name: the model's name there.
        tokens: what was used.
        own: prices given by the user, by `provider/name`; they come first.
    """
    if (price := own.get(f"{provider.id}/{name}")) is not None:
        cached = price.input if price.cached is None else price.cached
        return (
            (tokens.input - tokens.cached) * price.input + tokens.cached * cached + tokens.output * price.output
        ) / 1e6
    if provider.price_id is None:
        return None
    import genai_prices

    usage = genai_prices.Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cached or None,
        cache_write_tokens=tokens.cache_written or None,
    )
    try:
        return float(genai_prices.calc_price(usage, name, provider_id=provider.price_id).total_price)
    except (LookupError, ValueError):  # unknown model; or a price that these tokens do not fit into
        return None
