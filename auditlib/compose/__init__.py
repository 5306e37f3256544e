"""Compose files: their text to the project that Compose would make of it. No input or output of its own.

The rules are those of compose-go 2.9 (Docker Compose 2.40), whose program is the oracle of the tests.
`compose-spec.json` is the schema of the Compose specification (Apache-2.0, `compose-spec.LICENSE`), as that program
embeds it.
"""
