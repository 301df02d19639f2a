// Names of errors, and the functions that are there only to say that they are not.
#include <cstring>

#include "api.h"

namespace {

struct Error {
  CUresult code;
  const char *name, *text;
};

#define ERROR(CODE, TEXT) {CODE, #CODE, TEXT}
const Error ERRORS[] = {
    ERROR(CUDA_SUCCESS, "no error"),
    ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    ERROR(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    ERROR(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
};

const Error* find(CUresult code) {
  for (const Error& error : ERRORS)
    if (error.code == code) return &error;
  return nullptr;
}

}  // namespace

EXPORT CUresult cuGetErrorName(CUresult code, const char** name) {
  const Error* error = find(code);
  *name = error ? error->name : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGetErrorString(CUresult code, const char** text) {
  const Error* error = find(code);
  *text = error ? error->text : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// cudarc panics at a missing symbol; an error it can report. In C, arguments that no one reads do no harm.
#define NOT_EMULATED(NAME) \
  EXPORT CUresult NAME() { return CUDA_ERROR_NOT_SUPPORTED; }
NOT_EMULATED(cuCtxCreate_v3)
NOT_EMULATED(cuCtxCreate_v4)
NOT_EMULATED(cuCtxDestroy_v2)
NOT_EMULATED(cuCtxGetCacheConfig)
NOT_EMULATED(cuCtxGetLimit)
NOT_EMULATED(cuCtxSetCacheConfig)
NOT_EMULATED(cuCtxSetLimit)
NOT_EMULATED(cuDestroyExternalMemory)
NOT_EMULATED(cuDeviceSetMemPool)
NOT_EMULATED(cuExternalMemoryGetMappedBuffer)
NOT_EMULATED(cuGetProcAddress_v2)
NOT_EMULATED(cuGraphDestroy)
NOT_EMULATED(cuGraphExecDestroy)
NOT_EMULATED(cuGraphInstantiateWithFlags)
NOT_EMULATED(cuGraphLaunch)
NOT_EMULATED(cuGraphUpload)
NOT_EMULATED(cuImportExternalMemory)
NOT_EMULATED(cuLaunchCooperativeKernel)
NOT_EMULATED(cuMemAdvise_v2)
NOT_EMULATED(cuMemAllocFromPoolAsync)
NOT_EMULATED(cuMemAllocManaged)
NOT_EMULATED(cuMemPoolCreate)
NOT_EMULATED(cuMemPoolDestroy)
NOT_EMULATED(cuMemPrefetchAsync_v2)
NOT_EMULATED(cuOccupancyAvailableDynamicSMemPerBlock)
NOT_EMULATED(cuOccupancyMaxActiveClusters)
NOT_EMULATED(cuOccupancyMaxPotentialBlockSize)
NOT_EMULATED(cuOccupancyMaxPotentialBlockSizeWithFlags)
NOT_EMULATED(cuOccupancyMaxPotentialClusterSize)
NOT_EMULATED(cuProfilerStart)
NOT_EMULATED(cuProfilerStop)
NOT_EMULATED(cuStreamAttachMemAsync)
NOT_EMULATED(cuStreamBeginCapture_v2)
NOT_EMULATED(cuStreamEndCapture)
