"""Makes the wheel `millstream-server`, which holds the binary:  server_wheel.py BINARY VERSION PLATFORM LICENSE THIRD_PARTY OUT"""

import pathlib
import sys

from wheel.wheelfile import WheelFile

binary, version, platform, licence, third_party, out = sys.argv[1:]
name = f"millstream_server-{version}"
metadata = f"""\
Metadata-Version: 2.4
Name: millstream-server
Version: {version}
Summary: The Millstream stream and subscription engine: the program `millstream`
License-Expression: Apache-2.0
License-File: LICENSE
License-File: THIRD-PARTY-LICENSES.txt
Requires-Python: >=3.8
Description-Content-Type: text/markdown

`pip install millstream-server` puts the program `millstream` on the path of the environment: `millstream serve --data DIRECTORY`
runs the server, and `millstream --help` says what else there is. The client for Python is the package `millstream`.
"""
tags = f"""\
Wheel-Version: 1.0
Generator: millstream
Root-Is-Purelib: false
Tag: py3-none-{platform}
"""
with WheelFile(pathlib.Path(out) / f"{name}-py3-none-{platform}.whl", "w") as wheel:
    # Under scripts, so that pip lays it where programs of the environment are; mode bits are taken from the file.
    wheel.write(binary, f"{name}.data/scripts/millstream")
    wheel.write(licence, f"{name}.dist-info/licenses/LICENSE")
    wheel.write(third_party, f"{name}.dist-info/licenses/THIRD-PARTY-LICENSES.txt")
    wheel.writestr(f"{name}.dist-info/METADATA", metadata)
    wheel.writestr(f"{name}.dist-info/WHEEL", tags)
