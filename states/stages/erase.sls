# Nothing of the node's last use is left on its disk.
erase:
  racksalt_disk.erased: []
