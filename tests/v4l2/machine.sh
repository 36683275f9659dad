#!/usr/bin/env bash
# Runs a command on a machine of its own that has cameras: a Debian kernel in QEMU, with the kernel's
# virtual camera (vivid), v4l2loopback, and this machine's files, of which it can change none.
#
#     tests/v4l2/machine.sh FOLDER COMMAND...
#
# FOLDER holds what is fetched and built (kernel, v4l2loopback, initramfs; 500 MB) and is used again.
# FOLDER/out is where the command can leave something; it finds its name in $OUT.  Standard output and
# exit status are the command's, the kernel's messages are in FOLDER/console.  Nothing is installed
# and no rights are needed.  It starts in seconds and is then some ten times slower than this one; with
# MACHINE_ACCEL=kvm it is as fast, where /dev/kvm works (in a rented machine it may hang).
#
# Needs, of Debian 12: see `make v4l2-apt`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/out"
folder=$(cd "$1" && pwd)
shift

fetch() {  # the generic kernel, for the cloud's has no media modules; unpacked, not installed
  local all version
  all=$(apt-cache depends linux-image-amd64)
  version=$(sed -n 's/.*Depends: linux-image-\(.*\)-amd64$/\1/p' <<<"$all")
  cd "$folder"
  apt-get download -qq "linux-image-$version-amd64" "linux-headers-$version-amd64" \
    "linux-headers-$version-common" "linux-kbuild-${version%.*-*}" v4l2loopback-dkms
  for package in *.deb; do dpkg -x "$package" root; done
  rm -- *.deb
  echo "$version-amd64" >release
}

build_loopback() {
  local release headers
  release=$(<"$folder/release")
  headers=$folder/root/usr/src/linux-headers-$release
  sed -i "s#^include /usr/src#include $folder/root/usr/src#" "$headers/Makefile"
  rm -rf "$folder/loopback"
  cp -r "$folder"/root/usr/src/v4l2loopback-* "$folder/loopback"
  make --silent -C "$headers" "M=$folder/loopback" modules >&2
  install -D -t "$folder/root/lib/modules/$release/extra" "$folder/loopback/v4l2loopback.ko"
  busybox depmod -b "$folder/root" "$release"
}

build_initramfs() {  # only what it takes to see this machine's files
  local modules name files=$folder/initramfs
  modules=lib/modules/$(<"$folder/release")
  rm -rf "$files"
  mkdir -p "$files/bin" "$files/$modules"
  cp "$(command -v busybox)" "$files/bin/busybox"
  cp "$here/init" "$files/init"
  cd "$folder/root/$modules"
  for name in virtio_pci 9pnet_virtio 9p overlay; do
    sed -n "s#^\(.*/$name\.ko\):#\1#p" modules.dep | tr ' ' '\n'
  done | sort -u | xargs cp --parents -t "$files/$modules" modules.dep
  (cd "$files" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$folder/initramfs.gz"
}

order() {  # what it is to run, where, as whom
  echo "cd $(printf %q "$PWD")"
  for name in PATH PYTHONPATH OMP_NUM_THREADS; do
    [ -z "${!name:-}" ] || echo "export $name=$(printf %q "${!name}")"
  done
  echo "export HOME=$(printf %q "$HOME") OUT=$(printf %q "$folder/out") PYTHONDONTWRITEBYTECODE=1"
  printf '%q ' "$@"
}

[ -e "$folder/release" ] || (fetch)
[ -e "$folder/root/lib/modules/$(<"$folder/release")/extra" ] || (build_loopback)
(build_initramfs)
order "$@" >"$folder/out/order"
echo 124 >"$folder/out/status"

share=local,security_model=none
timeout "${MACHINE_SECONDS:-1500}" qemu-system-x86_64 \
  -accel "${MACHINE_ACCEL:-tcg}" -cpu max -smp 2 -m 4G -display none -vga none -nic none -no-reboot \
  -kernel "$folder/root/boot/vmlinuz-$(<"$folder/release")" -initrd "$folder/initramfs.gz" \
  -append "console=ttyS0 loglevel=4 panic=-1 folder=$folder" \
  -serial "file:$folder/console" -serial stdio -monitor none \
  -virtfs "$share,path=/,readonly=on,multidevs=remap,mount_tag=files" \
  -virtfs "$share,path=$folder/out,mount_tag=out" </dev/null
exit "$(<"$folder/out/status")"
