"""Certificates for a test, made by openssl in a folder of its own."""

import os
import subprocess


class Certificates:
    def __init__(self, folder):
        self.folder = str(folder)
        self.authority("ca")

    def path(self, name):
        return os.path.join(self.folder, name)

    def authority(self, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", f"/CN=Authority {name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def issue(self, name, ca="ca", common_name=None, san="DNS:localhost,IP:127.0.0.1", days=2):
        """NAME.pem and NAME.key; what had the name is replaced."""
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                      f"/O=Test/CN={common_name or name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        with open(self.path("san.cnf"), "w", encoding="ascii") as extensions:
            extensions.write(f"subjectAltName={san}\n")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                      "-CAcreateserial", "-days", str(days), "-extfile", "san.cnf", "-out", f"{name}.pem")
        return self.path(f"{name}.pem"), self.path(f"{name}.key")

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)
