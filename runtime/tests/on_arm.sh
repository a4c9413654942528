#!/bin/sh
# Compile the engine for 64-bit ARM (NEON) and check it there, on a Debian machine without one:
#   runtime/tests/on_arm.sh FOLDER [--drawn N]      (a quarter of an hour; as root, for apt-get)
# apt-get install gcc-aarch64-linux-gnu qemu-user     is needed before.
# FOLDER takes an ARM Python (from Debian's packages), numpy, the networks and found.json.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$here/../../.venv/bin/python
mkdir -p "$1/debs" "$1/root" "$1/site" "$1/objects" && folder=$(cd "$1" && pwd) && shift

if [ ! -x "$folder/root/usr/bin/python3.11" ]; then
  dpkg --add-architecture arm64 && apt-get update -q
  (cd "$folder/debs" && apt-get download -q python3.11:arm64 python3.11-minimal:arm64 \
    libpython3.11-stdlib:arm64 libpython3.11-minimal:arm64 libpython3.11-dev:arm64 libc6:arm64 \
    libgcc-s1:arm64 libstdc++6:arm64 zlib1g:arm64 libexpat1:arm64 libffi8:arm64 libssl3:arm64 \
    libbz2-1.0:arm64 liblzma5:arm64)
  dpkg --remove-architecture arm64 && apt-get update -q
  for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$folder/root"; done
  $python -m pip install -q --disable-pip-version-check --only-binary=:all: --no-deps \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --python-version 3.11 --implementation cp --abi cp311 --target "$folder/site" \
    -c "$here/../../constraints.txt" numpy
fi

rm -rf "$folder/site/secateur_runtime"
cp -r "$here/../src/secateur_runtime" "$folder/site/"
rm -f "$folder"/site/secateur_runtime/*.so "$folder"/objects/*.o
for name in module program weights codegen run crew isa isa_plain isa_avx2 isa_avx512; do
  aarch64-linux-gnu-gcc -c -fPIC -O3 -std=gnu11 -fvisibility=hidden -pthread -Wno-psabi -Wall -Wextra \
    -fno-math-errno -fno-trapping-math -isystem "$folder/root/usr/include/python3.11" \
    -isystem "$folder/root/usr/include" -o "$folder/objects/$name.o" \
    "$here/../src/secateur_runtime/native_c/$name.c"
done
aarch64-linux-gnu-gcc -shared -pthread -o "$folder/site/secateur_runtime/_native.abi3.so" \
  "$folder"/objects/*.o -lm

PYTHONPATH=$here:$here/../../tests:$here/../../src $python "$here/elsewhere.py" write "$folder/files" "$@"
PYTHONPATH=$folder/site qemu-aarch64 -L "$folder/root" "$folder/root/usr/bin/python3.11" \
  "$here/elsewhere.py" check "$folder/files" --out "$folder/found.json" \
  --about "runtime/tests/on_arm.sh: $(aarch64-linux-gnu-gcc --version | head -1); $(qemu-aarch64 --version | head -1)"
