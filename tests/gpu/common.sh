# Sourced by run.sh and bench.sh, which have set $root: the places, the time limit of a step, and where NVRTC may be for a
# loader that does not look there by itself.
gpu=$root/target/gpu
out=${OUT:-$gpu}
limit=${LIMIT:-300}
mkdir -p "$out" || exit 1
if [ -d "$gpu/compiled" ]; then export KERNELS_CUDA_CACHE=$gpu/compiled; fi
packages=$(python3 -c 'import glob, site
print(":".join(lib for site in site.getsitepackages() for lib in glob.glob(site + "/nvidia/*/lib")))' 2>/dev/null)
for folder in /usr/local/cuda/lib64 $(echo "$packages" | tr : ' '); do
  export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
done

# in_time COMMAND...: ends it after $limit seconds, by force if it does not heed that.
in_time() { timeout -k 10 "$limit" "$@"; }

# check_stages "KNOWN..." WANTED...: ends the script if one that is wanted is not known.
check_stages() {
  known=$1
  shift
  for stage in "$@"; do
    case " $known " in
      *" $stage "*) ;;
      *) echo "$(basename "$0"): $stage is none of: $known" >&2; exit 2 ;;
    esac
  done
}
