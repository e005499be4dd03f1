# A minion says that it started. It is journalled; the conductor asks the minion itself. May be left out as well.
{% if tag == "salt/minion/" ~ data.get("id") ~ "/start" %}
racksalt_minion_started:
  runner.racksalt.hint:
    - args:
        - tag: {{ tag | json }}
        - data: {{ data | json }}
{% endif %}
