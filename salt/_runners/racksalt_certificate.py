"""Erase certificates of nodes, as ``racksalt erase-certificate`` shows them."""

from salt.exceptions import CommandExecutionError


def show(node, limit=20):
    """
    Return a node's signed erase certificates, newest first, each checked now.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_certificate.show r1n1
    """
    from racksalt.adapters.salt_runner import name

    return _asked(lambda it: it.erase_certificates(name(node), int(limit)))


def verify(certificate):
    """
    Say whether a certificate that somebody holds is what this site signed: ``good``, ``problem`` and
    ``erasure``.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_certificate.verify "$(cat certificate.json)"
    """
    return _asked(lambda it: it.check_certificate(certificate))


def public_key():
    """
    Return the public key (PEM) with which anybody can check this site's certificates.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_certificate.public_key
    """
    return _asked(lambda it: it.erase_key())


def _asked(function):
    from racksalt.bootstrap import shared_app
    from racksalt.model.errors import RacksaltError

    try:
        return function(shared_app(__opts__).operations)
    except RacksaltError as error:
        raise CommandExecutionError(str(error)) from None
