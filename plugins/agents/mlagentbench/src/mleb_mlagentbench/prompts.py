"""What the model is told: mleb's own words for the loop that the paper describes."""

__all__ = [
    "EDIT",
    "EDIT_SEGMENT",
    "LOG",
    "MALFORMED",
    "NOTE",
    "SHORTEN",
    "STEP",
    "SUMMARISE",
    "UNDERSTAND",
    "UNDERSTAND_ALL",
]

STEP = """\
You are a machine-learning researcher who works by experiments. You solve the task below step by step. In each step you
take one action, and are then shown what came of it.

# Task

{task}

# Actions

Each takes a JSON object as its input. Names of files are relative to your workspace.

{actions}

# How to reply

Reply with these six headings, in this order, each at the start of a line, and nothing after the action's input:

Reflection: What does the last observation mean? If something failed, what is the cause, and how can it be found?
Research Plan and Status: The whole plan, with the state and the confirmed results of each of its points. Take it over
from your last reply; put what is new between **double asterisks**.
Fact Check: For each statement that is new in the plan, whether an observation confirmed it directly or it is a guess.
Only the output of a script confirms a number.
Thought: What you do now, and why.
Action: The name of one action.
Action Input: Its input, one JSON object, with line breaks in texts written as \\n.

{log}{steps}# Now

This is step {number} of at most {most}. {left}
"""
LOG = """\
# Research log

What you did and saw before, in short:

{log}

"""
NOTE = """\

How you work here
- Your workspace is the folder in which scripts run. data/ in it holds the data and must not be changed; submission/ is
  where submission.csv belongs.
- What you write by actions is kept as your code. To run a command, write a script (.sh) and execute it.
- A script may take {script_s} at most.
"""
MALFORMED = """\
{prompt}
Your last reply could not be used: {wrong}. It began:

{reply}

Reply again, with all six headings, and one JSON object after 'Action Input:'.
"""
SUMMARISE = """\
A researcher works on a machine-learning task step by step. Below is what was done and seen in one step. Write an entry
for the research log: two to five sentences on what was done, why, and what the observation showed. Keep names of files,
settings and numbers exactly; state nothing that does not stand below; say what failed and why.

{step}
"""
SHORTEN = """\
Below is a researcher's log. Shorten it to at most {words} words. Keep what later steps need: what is in which file,
which experiments were run with which result, what failed and why, what is handed in. Keep numbers and names exactly.

{log}
"""
UNDERSTAND = """\
Below is part {part} of {parts} of the file {file}. Answer the question from this text alone, with exact names, numbers
and lines where they matter; say so where it does not hold the answer.

Question: {question}

{text}
"""
UNDERSTAND_ALL = """\
The file {file} was read in parts. Put the answers of all parts together into one answer to the question.

Question: {question}

{answers}
"""
EDIT = """\
Below is the script {script}, which may be empty. Change it as the instruction says, and nothing else.

Instruction: {instruction}

```
{text}
```

Reply with the whole new script in one block that begins with ``` and ends with ```, and with nothing else.
"""
EDIT_SEGMENT = """\
Below are the lines {first} to {last} of the script {script}. Change them as the instruction says, and nothing else.

Instruction: {instruction}

```
{text}
```

Reply with the new lines that take their place, indented as they are to stand there, in one block that begins with ```
and ends with ```, and with nothing else.
"""
