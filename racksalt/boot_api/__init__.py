"""The boot API: what machines on the provisioning network ask and report, over HTTP."""
