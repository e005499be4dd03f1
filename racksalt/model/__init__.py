"""The nouns: frozen, typed, validated. Nothing here reads a clock, a file or the environment."""
