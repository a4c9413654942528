/* The Python module: programs are made of arrays, which are copied, and run without the lock. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "codegen.h"

static PyObject *refused; /* EngineError */

typedef struct {
    PyObject_HEAD
    Program program;
} Object;

static int fail(const char *what) {
    PyErr_SetString(refused ? refused : PyExc_ValueError, what);
    return -1;
}

/* Borrows an array's memory; items of `size` bytes, counted into `n`. */
static int borrow(PyObject *array, Py_buffer *buffer, int size, int64_t *n, int writable) {
    const int flags = writable ? PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE : PyBUF_C_CONTIGUOUS;
    if (PyObject_GetBuffer(array, buffer, flags)) return -1;
    *n = buffer->len / size;
    if (buffer->itemsize != size) {
        PyBuffer_Release(buffer);
        return fail("an array has another type");
    }
    return 0;
}

static int add_op(Program *p, PyObject *op, int index) {
    static const int sizes[] = {8, 4, 4, 4, 8};
    Py_buffer buffers[5];
    int64_t counts[5];
    int n = 0, good = 0;
    if (!PyTuple_Check(op) || PyTuple_Size(op) != 6)
        return fail("an operator is (kind, ints, floats, values, indices, pointers)");
    const long kind = PyLong_AsLong(PyTuple_GetItem(op, 0));
    if (kind == -1 && PyErr_Occurred()) return -1;
    while (n < 5 && !borrow(PyTuple_GetItem(op, n + 1), &buffers[n], sizes[n], &counts[n], 0)) ++n;
    if (n == 5) {
        const Draft draft = {kind, buffers[0].buf, buffers[1].buf, buffers[2].buf, buffers[3].buf,
                             buffers[4].buf, counts[0], counts[1], counts[2], counts[3], counts[4]};
        const char *wrong = secateur_program_add(p, &draft);
        if (wrong) PyErr_Format(refused, "operator %d (kind %ld): %s", index, kind, wrong);
        good = !wrong;
    }
    while (n--) PyBuffer_Release(&buffers[n]);
    return good ? 0 : -1;
}

static PyObject *program_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    const char *isa;
    int lanes;
    long long size;
    PyObject *ops;
    if (kwargs && PyDict_Size(kwargs)) return fail("a program takes no names"), NULL;
    if (!PyArg_ParseTuple(args, "siLO!", &isa, &lanes, &size, &PyList_Type, &ops)) return NULL;
    const int n = (int)PyList_Size(ops);
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Object *self = (Object *)alloc(type, 0); /* zeroed */
    if (!self) return NULL;
    const char *wrong = secateur_program_start(&self->program, isa, lanes, size, n);
    if (wrong) fail(wrong);
    for (int i = 0; i < n && !wrong; ++i)
        if (add_op(&self->program, PyList_GetItem(ops, i), i)) wrong = "";
    if (!wrong && (wrong = secateur_program_finish(&self->program))) fail(wrong);
    if (!wrong) return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static void program_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    secateur_program_free(&((Object *)self)->program);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* Borrows input and output of n pictures. */
static int borrow_both(const Program *p, PyObject *in, PyObject *out, int64_t n, Py_buffer *from,
                       Py_buffer *to) {
    int64_t n_in, n_out;
    if (borrow(in, from, 4, &n_in, 0)) return -1;
    if (borrow(out, to, 4, &n_out, 1)) {
        PyBuffer_Release(from);
        return -1;
    }
    if (n >= 0 && n < ((int64_t)1 << 31) && n_in == n * p->in_size && n_out == n * p->out_size)
        return 0;
    PyBuffer_Release(from), PyBuffer_Release(to);
    return fail("the arrays do not have the sizes of so many pictures");
}

static PyObject *program_run(PyObject *self, PyObject *args) {
    Program *p = &((Object *)self)->program;
    PyObject *in, *out;
    long long n;
    int threads;
    Py_buffer from, to;
    if (!PyArg_ParseTuple(args, "OOLi", &in, &out, &n, &threads)) return NULL;
    if (borrow_both(p, in, out, n, &from, &to)) return NULL;
    const char *wrong;
    Py_BEGIN_ALLOW_THREADS
    wrong = secateur_program_run(p, from.buf, to.buf, n, threads);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&from), PyBuffer_Release(&to);
    if (wrong) return fail(wrong), NULL;
    return Py_NewRef(Py_None);
}

static PyObject *program_time(PyObject *self, PyObject *args) {
    Program *p = &((Object *)self)->program;
    PyObject *in, *out;
    long long n;
    int rounds;
    Py_buffer from, to;
    if (!PyArg_ParseTuple(args, "OOLi", &in, &out, &n, &rounds)) return NULL;
    double *seconds = PyMem_Malloc((size_t)p->n_ops * sizeof *seconds);
    if (!seconds) return PyErr_NoMemory();
    if (borrow_both(p, in, out, n, &from, &to)) {
        PyMem_Free(seconds);
        return NULL;
    }
    const char *wrong;
    Py_BEGIN_ALLOW_THREADS
    wrong = secateur_program_time(p, from.buf, to.buf, n, rounds, seconds);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&from), PyBuffer_Release(&to);
    PyObject *list = wrong ? NULL : PyList_New(p->n_ops);
    if (wrong) fail(wrong);
    for (int i = 0; list && i < p->n_ops; ++i) {
        PyObject *one = PyFloat_FromDouble(seconds[i]);
        if (!one || PyList_SetItem(list, i, one)) {
            Py_DECREF(list);
            list = NULL;
        }
    }
    PyMem_Free(seconds);
    return list;
}

static PyMethodDef program_methods[] = {
    {"run", program_run, METH_VARARGS, "run(input, output, n, threads): fill the output."},
    {"time", program_time, METH_VARARGS, "time(input, output, n, rounds): seconds per operator."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot program_slots[] = {
    {Py_tp_doc, "Program(isa, lanes, floats, operators): what was checked and can run."},
    {Py_tp_new, program_new},
    {Py_tp_dealloc, program_dealloc},
    {Py_tp_methods, program_methods},
    {0, NULL},
};
static PyType_Spec program_spec = {"secateur_runtime._native.Program", sizeof(Object), 0,
                                   Py_TPFLAGS_DEFAULT, program_slots};

static PyObject *isas(PyObject *self, PyObject *unused) {
    (void)self, (void)unused;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < secateur_isa_count; ++i) {
        if (!secateur_isas[i].usable()) continue;
        PyObject *name = PyUnicode_FromString(secateur_isas[i].name);
        if (!name || PyList_Append(list, name)) Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

static PyObject *generates(PyObject *self, PyObject *unused) {
    (void)self, (void)unused;
    return PyBool_FromLong(secateur_code_allowed());
}

static PyMethodDef functions[] = {
    {"generates", generates, METH_NOARGS, "generates(): whether code can be made and run here."},
    {"isas", isas, METH_NOARGS, "isas(): instruction sets of this build that run here, best first."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", "The compiled engine.", -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *errors = PyImport_ImportModule("secateur_runtime.errors");
    if (!errors) return NULL;
    refused = PyObject_GetAttrString(errors, "EngineError");
    Py_DECREF(errors);
    PyObject *module = refused ? PyModule_Create(&definition) : NULL;
    PyObject *type = module ? PyType_FromSpec(&program_spec) : NULL;
    if (!type || PyModule_AddObjectRef(module, "Program", type)) Py_CLEAR(module);
    Py_XDECREF(type);
    return module;
}
