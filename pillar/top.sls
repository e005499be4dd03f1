# The layers in global/, zone/, rack/ and node/ reach minions through ext_pillar, merged and for each node its own:
# do not target them here. Pillar of your own may be targeted below; where both set a key, the layers win.
base: {}
