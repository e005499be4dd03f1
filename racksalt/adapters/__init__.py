"""The only files that touch the world: Salt, BMCs, files, simulations. Each library has its one door here."""
