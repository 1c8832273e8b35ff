"""The bytes of versions: where they lie, how they are checked, how they become models again."""
