// Autograd functions of C++ around the kernels, as torch's own layers have them: an autograd function of Python costs
// some fifty microseconds more. A module of Python's C interface; glue.py builds, loads and connects it. The
// kernels themselves are in separate libraries, whose functions come in by address, so that they build without torch's
// headers.
#include "glue.h"

#include "../conv/glue_conv.h"
#include "../crf/glue_crf.h"
#include "../lstm/glue_lstm.h"
#include "../maps/glue_maps.h"
#include "../norm/glue_norm.h"
#include "../pixels/glue_pixels.h"
#include "../squash/glue_squash.h"

namespace glue {
namespace {

// connect(name, address): one function of a kernel's library.
PyObject* connect(PyObject*, PyObject* arguments) {
    const char* name;
    unsigned long long address;
    if (!PyArg_ParseTuple(arguments, "sK", &name, &address)) return nullptr;
    const std::string_view wanted = name;
    auto put = [&](std::string_view function, auto& pointer) {
        if (function == wanted) pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(address);
        return function == wanted;
    };
    if (!(put("norm_forward", norm_forward) || put("norm_backward", norm_backward) || put("crf_loss", crf_loss) ||
          put("crf_loss_backward", crf_loss_backward) || put("crf_viterbi", crf_viterbi) ||
          put("conv_forward", conv_forward) || put("conv_backward", conv_backward) ||
          put("conv_float_forward", conv_float_forward) || put("conv_float_backward", conv_float_backward) ||
          put("conv_types", conv_types) || put("conv_lanes", conv_lanes) ||
          put("halve_forward", halve_forward) || put("halve_backward", halve_backward) ||
          put("mean_forward", mean_forward) || put("mean_backward", mean_backward) ||
          put("pixels_forward", pixels_forward) || put("pixels_backward", pixels_backward) ||
          put("squash_forward", squash_forward) || put("squash_backward", squash_backward) ||
          put("lstm_forward", lstm_forward) || put("lstm_backward", lstm_backward) || put("sgemm", sgemm)))
        return PyErr_Format(PyExc_KeyError, "the glue does not call %s", name);
    Py_RETURN_NONE;
}

// second_derivative(function): what runs where a gradient is to be differentiated again.
PyObject* second_derivative(PyObject*, PyObject* function) {
    Py_INCREF(function);
    Py_XSETREF(norm_second_derivative, function);
    Py_RETURN_NONE;
}

// reference(kernel, function): what runs where that kernel's compiled gradients cannot be used.
PyObject* reference(PyObject*, PyObject* arguments) {
    const char* name;
    PyObject* function;
    if (!PyArg_ParseTuple(arguments, "sO", &name, &function)) return nullptr;
    const std::string_view wanted = name;
    PyObject*& slot = wanted == "crf"      ? crf_reference
                      : wanted == "pixels" ? pixels_reference
                      : wanted == "squash" ? squash_reference
                                           : lstm_reference;
    Py_INCREF(function);
    Py_XSETREF(slot, function);
    Py_RETURN_NONE;
}

template <class F>
PyCFunction fast(F* function) { return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)); }

PyMethodDef methods[] = {
    {"connect", connect, METH_VARARGS, nullptr},
    {"reference", reference, METH_VARARGS, nullptr},
    {"second_derivative", second_derivative, METH_O, nullptr},
    {"conv", fast(call_conv), METH_FASTCALL, nullptr},
    {"halve", fast(call_halve), METH_FASTCALL, nullptr},
    {"mean", fast(call_mean), METH_FASTCALL, nullptr},
    {"norm", fast(call_norm), METH_FASTCALL, nullptr},
    {"pixels", fast(call_pixels), METH_FASTCALL, nullptr},
    {"squash", fast(call_squash), METH_FASTCALL, nullptr},
    {"crf", fast(call_crf), METH_FASTCALL, nullptr},
    {"lstm", fast(call_lstm), METH_FASTCALL, nullptr},
    {"viterbi", fast(call_viterbi), METH_FASTCALL, nullptr},
    {"track", fast(call_track), METH_FASTCALL, nullptr},
    {}};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "glue", nullptr, -1, methods};

}  // namespace
}  // namespace glue

PyMODINIT_FUNC PyInit_glue() { return PyModule_Create(&glue::module); }
