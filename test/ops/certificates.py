"""Certificates for a test, made by openssl in a folder of its own."""

import os
import subprocess

# What `openssl ca` needs, which alone can say when a certificate begins to be valid.
CA_CONFIG = """[ca]
default_ca = this
[this]
database = index.txt
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = supplied
"""


class Certificates:
    def __init__(self, folder):
        self.folder = str(folder)
        self.authority("ca")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read()

    def authority(self, name, common_name=None):
        self._openssl("req", "-x509", *self._new_key("ec"), "-days", "2", "-subj", f"/CN={common_name or f'Authority {name}'}",
                      "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def issue(self, name, ca="ca", common_name=None, san="DNS:localhost,IP:127.0.0.1", days=2, starts=None, key="ec",
              digest="sha256", more=""):
        """NAME.pem and NAME.key; what had the name is replaced. `ca` None: signed by itself; `starts`: YYYYMMDDHHMMSSZ;
        `more`: lines of extensions."""
        self._openssl("req", *self._new_key(key), "-subj", f"/O=Test/CN={common_name or name}",
                      "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.write("san.cnf", f"subjectAltName={san}\n{more}\n")
        if starts:
            self.write("ca.cnf", CA_CONFIG)
            self.write("index.txt", "")
            self._openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", f"{ca}.pem", "-keyfile", f"{ca}.key",
                          "-startdate", starts, "-days", str(days), "-extfile", "san.cnf", "-in", f"{name}.csr",
                          "-out", f"{name}.pem")
        else:
            signer = ("-signkey", f"{name}.key") if ca is None else ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial")
            self._openssl("x509", "-req", "-in", f"{name}.csr", *signer, f"-{digest}", "-days", str(days),
                          "-extfile", "san.cnf", "-out", f"{name}.pem")
        return self.path(f"{name}.pem"), self.path(f"{name}.key")

    def group(self, name, group):
        """A file of Diffie-Hellman parameters."""
        self._openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", f"group:{group}", "-out", name)
        return self.path(name)

    @staticmethod
    def _new_key(kind):
        """"ec", or a length of RSA."""
        wanted = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256") if kind == "ec" else (f"rsa:{kind}",)
        return ("-newkey", *wanted, "-nodes")

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)
