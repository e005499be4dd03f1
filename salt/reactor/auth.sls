# A key asks to be accepted: hand its name over. The runner reads the key itself from the key store.
{% if data.get("act") in ("pend", "denied") and data.get("autosign_grains", {}).get("racksalt_proof") %}
racksalt_enroll:
  runner.racksalt.enroll:
    - args:
        - node: {{ data["id"] | json }}
{% endif %}
