"""`python -m tests.expected`: writes what the tests expect, as the code says it now."""

from tests.expected import FILES, FOLDER

for name, text in FILES.items():
    (FOLDER / name).write_text(text(), "utf-8")
