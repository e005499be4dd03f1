# A node knows itself: who it is and where it stands, for people and scripts on it.
racksalt_base_node_file:
  file.serialize:
    - name: {{ opts["root_dir"].rstrip("/") }}/etc/racksalt/node.json
    - serializer: json
    - makedirs: True
    - mode: "0644"
    - dataset:
        node: {{ grains["id"] }}
        place: {{ salt["racksalt_node.place"]() | json }}
        roles: {{ salt["racksalt_node.roles"]() | json }}
