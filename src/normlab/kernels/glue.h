// What the three parts of glue.cpp share: how Python's arguments become tensors, and what a tensor must be.
#pragma once

#include <torch/csrc/autograd/python_variable.h>  // first: it includes Python.h

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/TracerMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace glue {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<Tensor>;

// Releases Python's lock for as long as it lives.
struct WithoutLock {
    PyThreadState* state = PyEval_SaveThread();
    ~WithoutLock() { PyEval_RestoreThread(state); }
};

// Holds Python's lock for as long as it lives, from whatever thread.
struct WithLock {
    PyGILState_STATE state = PyGILState_Ensure();
    ~WithLock() { PyGILState_Release(state); }
};

inline Optional optional_of(PyObject* object) {
    if (object == Py_None) return std::nullopt;
    TORCH_CHECK_TYPE(THPVariable_Check(object), "expected a tensor or None, got ", Py_TYPE(object)->tp_name);
    return THPVariable_Unpack(object);
}

inline Tensor tensor_of(PyObject* object) {
    TORCH_CHECK_TYPE(THPVariable_Check(object), "expected a tensor, got ", Py_TYPE(object)->tp_name);
    return THPVariable_Unpack(object);
}

// Whether a call may go straight to a kernel: eagerly, outside of torch.func's transforms and of torch.jit.trace.
inline bool is_plain_call() {
    return !c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::FuncTorchDynamicLayerFrontMode) &&
           !at::tracer::impl::is_dispatch_enabled();
}

inline bool is_dense_cpu(const Tensor& x) { return x.is_cpu() && x.layout() == at::kStrided; }

template <class T>
T* pointer(const Optional& tensor) {
    return tensor && tensor->defined() ? static_cast<T*>(tensor->data_ptr()) : nullptr;
}

inline Tensor fresh(at::IntArrayRef sizes, at::ScalarType type = at::kFloat) {
    return at::detail::empty_cpu(sizes, type);
}

// Turns the exceptions of C++ into those of Python.
template <class Run>
PyObject* guarded(Run run) {
    try {
        return run();
    } catch (python_error& error) {
        error.restore();
    } catch (const c10::TypeError& error) {
        PyErr_SetString(PyExc_TypeError, error.what_without_backtrace());
    } catch (const c10::ValueError& error) {
        PyErr_SetString(PyExc_ValueError, error.what_without_backtrace());
    } catch (const c10::Error& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what_without_backtrace());
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

}  // namespace glue
