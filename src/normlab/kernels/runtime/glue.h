// What the parts of glue.cpp share: how Python's arguments become tensors, and what a tensor must be.
#pragma once

#include <torch/csrc/autograd/python_variable.h>  // first: it includes Python.h

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/TracerMode.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/forward_grad.h>

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

// Whether a call may go straight to a kernel, as guards.py says: eagerly, outside of torch.func's transforms, of
// torch.jit.trace, of forward-mode differentiation and of modes that see each operation.
inline bool is_plain_call() {
    return !c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::FuncTorchDynamicLayerFrontMode) &&
           !at::tracer::impl::is_dispatch_enabled() && c10::impl::TorchDispatchModeTLS::stack_len() == 0 &&
           !torch::autograd::ForwardADLevel::try_get_by_idx(0);
}

// Whether all of these are None, tensors of torch's own class, or parameters: no subclass that answers for itself.
inline bool are_exact(PyObject* const* objects, Py_ssize_t count) {
    return std::all_of(objects, objects + count,
                       [](PyObject* object) { return object == Py_None || THPVariable_CheckExact(object); });
}

// Whether a tensor is its memory: no subclass that answers for itself (a fake tensor), no transform's wrapper, no view
// whose sign is still to be changed.
inline bool is_dense_cpu(const Tensor& x) {
    return x.is_cpu() && x.layout() == at::kStrided && x.has_storage() &&
           !x.key_set().has_any(c10::DispatchKeySet(
               {c10::DispatchKey::Python, c10::DispatchKey::Negative, c10::DispatchKey::ZeroTensor}));
}

template <class T>
T* pointer(const Optional& tensor) {
    return tensor && tensor->defined() ? static_cast<T*>(tensor->data_ptr()) : nullptr;
}

inline Tensor fresh(at::IntArrayRef sizes, at::ScalarType type = at::kFloat) {
    return at::detail::empty_cpu(sizes, type);
}

// The gradients by a kernel's reference in plain operations of Python's, `gradients` in derivatives.py, where they are to
// be differentiated themselves or a transform looks on: reference(inputs, grads, *options) -> one of each input or None.
inline bool needs_reference(const variable_list& grads) {
    return at::GradMode::is_enabled() || !is_plain_call() || !std::all_of(grads.begin(), grads.end(), is_dense_cpu);
}

inline variable_list through_reference(PyObject* reference, at::TensorList inputs, at::TensorList grads,
                                       double option) {
    const WithLock lock;
    auto tuple_of = [](at::TensorList tensors) {
        PyObject* tuple = PyTuple_New((Py_ssize_t)tensors.size());
        for (size_t i = 0; i < tensors.size(); i++)  // None for an undefined one
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, THPVariable_Wrap(tensors[i]));
        return tuple;
    };
    PyObject* answer = PyObject_CallFunction(reference, "NNd", tuple_of(inputs), tuple_of(grads), option);
    if (!answer) {
        python_error error;
        error.persist();
        throw std::move(error);
    }
    variable_list tensors;
    for (Py_ssize_t i = 0; i < PyTuple_Size(answer); i++)
        tensors.push_back(optional_of(PyTuple_GET_ITEM(answer, i)).value_or(Tensor()));
    Py_DECREF(answer);
    return tensors;
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
