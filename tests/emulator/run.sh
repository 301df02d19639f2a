#!/bin/sh
# run.sh OUT_DIR PROGRAM ARGUMENTS...: runs a CUDA program on the libraries that build.sh made in OUT_DIR.
# If they were built for ASan, it is preloaded and the kernels are compiled with it.
out=$(cd "${1:?usage: run.sh OUT_DIR PROGRAM ARGUMENTS...}" && pwd) || exit 1
shift
export LD_LIBRARY_PATH="$out${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
if [ -e "$out/sanitize" ]; then
  export EMULATOR_SANITIZE=address
  export ASAN_OPTIONS="detect_leaks=0:detect_odr_violation=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
  LD_PRELOAD=$(${CXX:-c++} -print-file-name=libasan.so) exec "$@"
fi
exec "$@"
