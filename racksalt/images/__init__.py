"""Boot and system images: recipes, building, signing, and the catalogue of what was built.

Start at ``recipe.py`` (what goes in) and ``catalogue.py`` (where it lies and which one is current).
"""
