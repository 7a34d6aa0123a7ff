"""A recipe that tests add to, and parts of recipes."""

BASE = """
[prepare.tables]
train = "train.csv"

[prepare.split]
table = "train"
test_size = 0.25

[[prepare.write]]
file = "private/answers.csv"
rows = "test"
columns = ["id", "target"]

[[prepare.write]]
file = "public/sample_submission.csv"
rows = "test"
columns = ["id", "target"]
fill = { target = 0 }
"""


def write(text: str, file: str = "public/out.csv") -> str:
    """A file that is written, with what is said of it."""
    return f'\n[[prepare.write]]\nfile = "{file}"\n{text}\n'
