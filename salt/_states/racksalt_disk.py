"""
What the system disk of a node must hold: partitions, an operating system, a minion that can prove
itself, or nothing at all.
"""

from salt.exceptions import CommandExecutionError


def partitioned(name, partitions=None):
    """
    The disk was partitioned like this in this very installation. Everything on it is lost otherwise.

    partitions
        ``[{"name": "root", "filesystem": "ext4"}]``

    .. code-block:: yaml

        partition:
          racksalt_disk.partitioned:
            - partitions: [{name: root, filesystem: ext4}]
    """
    try:
        now = __salt__["racksalt_disk.layout"]()
        wanted = {
            "partitions": partitions or [{"name": "root"}],
            "installation": __salt__["racksalt_disk.installation"](),
        }
        if now == wanted:
            return _ret(name, True, "partitioned by this installation already")
        if __opts__["test"]:
            return _ret(name, None, "would partition; the disk's content would be lost", wanted)
        made = __salt__["racksalt_disk.partition"](wanted["partitions"])
    except (CommandExecutionError, OSError) as error:
        return _ret(name, False, str(error))
    return _ret(name, made == wanted, f"{len(made.get('partitions', ()))} partitions", made)


def imaged(name, source):
    """
    The disk has the files of this image, read back and compared.

    source
        folder on the master's file server

    .. code-block:: yaml

        image:
          racksalt_disk.imaged:
            - source: images/minimal
    """
    try:
        differ = __salt__["racksalt_disk.image_differs"](source)
        if not differ:
            return _ret(name, True, f"the disk has the image {source}")
        if __opts__["test"]:
            return _ret(name, None, f"would write {len(differ)} files", {"files": differ})
        written = __salt__["racksalt_disk.image"](source)
    except (CommandExecutionError, OSError) as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{len(written)} files written and compared", {"files": written})


def configured(name):
    """
    The installed system has its own minion: new key pair, proof for its first boot, configuration.

    .. code-block:: yaml

        configure:
          racksalt_disk.configured: []
    """
    try:
        root = __salt__["racksalt_disk.target"]()
        if __salt__["racksalt_boot.enrolled"](root):
            return _ret(name, True, "has the minion of this installation")
        if __opts__["test"]:
            return _ret(name, None, "would make a key pair and a proof for the first boot")
        made = __salt__["racksalt_boot.enrol"](root)
    except (CommandExecutionError, OSError) as error:
        return _ret(name, False, str(error))
    return _ret(name, True, "the installed minion can prove itself", made)


def erased(name):
    """
    Nothing is left on the disk; every file was overwritten before it was removed.

    .. code-block:: yaml

        erase:
          racksalt_disk.erased: []
    """
    try:
        files = __salt__["racksalt_disk.content"]()
        if not files:
            return _ret(name, True, "the disk is empty")
        if __opts__["test"]:
            return _ret(name, None, f"would erase {files} files", {"files": files})
        done = __salt__["racksalt_disk.erase"]()
    except (CommandExecutionError, OSError) as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{done['files']} files erased, the disk is empty", done)


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
