# A site's own stage: any Salt state will do.
burn_in_gpu:
  file.managed:
    - name: {{ opts["root_dir"].rstrip("/") }}/var/gpu-burned-in
    - contents: {{ opts["id"] }}
    - makedirs: True
