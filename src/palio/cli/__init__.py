"""The command ``palio``: nouns, then verbs; tables for people, ``--json`` for programs."""
