# pillar: racksalt:stages:partition:partitions = [{name: root, filesystem: ext4}]
{% set want = salt["pillar.get"]("racksalt:stages:partition", {}) %}
partition:
  racksalt_disk.partitioned:
    - partitions: {{ want.get("partitions", [{"name": "root", "filesystem": "ext4"}]) | json }}
