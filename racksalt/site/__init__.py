"""Site configuration: what is declared, and the layers global < zone < rack < node. Pure: no file is read here."""
