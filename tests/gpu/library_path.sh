# Sourced by run.sh and bench.sh: where NVRTC may be, for a loader that does not look there by itself.
packages=$(python3 -c 'import glob, site
print(":".join(lib for site in site.getsitepackages() for lib in glob.glob(site + "/nvidia/*/lib")))' 2>/dev/null)
for folder in /usr/local/cuda/lib64 $(echo "$packages" | tr : ' '); do
  export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
done
