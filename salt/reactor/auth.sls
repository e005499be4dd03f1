# A key asks to be accepted. The runner reads the key itself from the key store; what the event says decides nothing.
{% if data.get("act") in ("pend", "denied") and data.get("autosign_grains", {}).get("racksalt_proof") %}
racksalt_enroll:
  runner.racksalt.hint:
    - args:
        - tag: {{ tag | json }}
        - data: {{ data | json }}
{% endif %}
