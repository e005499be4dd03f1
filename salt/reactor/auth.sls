# A key asks to be accepted. What the event says decides nothing; racksalt's engine sees it too, so this may be left out.
{% if data.get("act") == "pend" and data.get("autosign_grains", {}).get("racksalt_proof", "") | string | length == 64 %}
racksalt_enroll:
  runner.racksalt.hint:
    - args:
        - tag: {{ tag | json }}
        - data: {{ data | json }}
{% endif %}
