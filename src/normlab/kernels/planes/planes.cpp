// Functions of x and of numbers that each plane (n, c) of a map has, forward and backward: what the schemes share that
// are no plain norm. planes_moments gives a plane's mean and variance; a scheme makes tables of those, one number a
// plane each, in operations that PyTorch differentiates; planes_apply computes y = f(x, tables). On the way back
// planes_sums gives the tables' gradients, and planes_combine dx = g * f' + (x - m) * Q + R, the last two for what flows
// through mean and variance. The centre m is the mean rounded to float32, exact to subtract, or 0 in a form that is not
// centred; what rounding lost goes into B and R.
//
// Nothing depends on the number of threads: a plane's sums are one thread's work.
#include "../norm/plane_loops.h"

namespace normlab {
namespace {

// 1 / (1 + exp(-x)), by the polynomial of exp_fast in vector_math.h; NaN stays NaN.
NORMLAB_INLINE vf sigmoid(vf x) {
    const vf shift = splat(12582912.0f), low = splat(-87.3f), high = splat(88.0f);
    const vf negative = -x, above = negative > high ? high : negative;
    const vf clamped = above < low ? low : above;
    const vf shifted = clamped * 1.44269504f + shift, n = shifted - shift;
    const vf r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = splat(1.9875691500e-4f);
    for (const float term : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
        p = p * r + term;
    p = p * r * r + r + 1.0f;
    return 1.0f / (1.0f + p * (vf)(((vi)shifted << 23) + 0x3f800000));
}

// A form is a function f of x and of COUNT numbers, at(0) the centre m, then those of forms.py in its order. `add` gives
// the ADDED values whose sums `finish` makes the numbers' gradients of, in that order; `slope` is g * f'.

// y = (x - m) * A + B, whose loops are norm.cpp's; sums in the order B, A, as `finish` finds them in every form
struct Affine {
    static constexpr int COUNT = 3, ADDED = 2;
    template <class At>
    static NORMLAB_INLINE vf value(vf x, At at) {
        return (x - at(0)) * at(1) + at(2);
    }
    static void finish(double, double*) {}
};

template <class Form>
constexpr bool IS_AFFINE = std::is_same_v<Form, Affine>;

// y = max((x - m) * A + B, T)
struct Floor {
    static constexpr int COUNT = 4, ADDED = 3;
    template <class At>
    static NORMLAB_INLINE vf value(vf x, At at) {
        const vf z = Affine::value(x, at);
        return (z <= at(3)) ? at(3) : z;
    }
    template <class At, class Add>
    static NORMLAB_INLINE void add(vf x, vf g, At at, Add add) {
        const auto below = Affine::value(x, at) <= at(3);
        const vf passed = below ? vf{} : g;
        add(0, passed);
        add(1, passed * (x - at(0)));
        add(2, below ? g : vf{});
    }
    template <class At>
    static NORMLAB_INLINE vf slope(vf x, vf g, At at) {
        return (Affine::value(x, at) <= at(3)) ? vf{} : g * at(1);
    }
    static void finish(double, double*) {}
};

// y = x * sigmoid(V * x) * A + B
struct Swish {
    static constexpr int COUNT = 4, ADDED = 3;
    template <class At>
    static NORMLAB_INLINE vf value(vf x, At at) {
        return x * sigmoid(at(3) * x) * at(1) + at(2);
    }
    template <class At, class Add>
    static NORMLAB_INLINE void add(vf x, vf g, At at, Add add) {
        const vf s = sigmoid(at(3) * x), product = g * x * s;
        add(0, g);
        add(1, product);
        add(2, product * x * (1.0f - s));
    }
    template <class At>
    static NORMLAB_INLINE vf slope(vf x, vf g, At at) {
        const vf s = sigmoid(at(3) * x);
        return g * at(1) * (s + at(3) * x * s * (1.0f - s));
    }
    static void finish(double scale, double* sums) { sums[2] *= scale; }
};

// y = x / max(D, V * x + E) * A + B
struct Quotient {
    static constexpr int COUNT = 6, ADDED = 5;
    template <class At>
    static NORMLAB_INLINE vf line(vf x, At at) {
        return at(4) * x + at(5);
    }
    template <class At>
    static NORMLAB_INLINE vf value(vf x, At at) {
        const vf l = line(x, at);
        return x / ((l <= at(3)) ? at(3) : l) * at(1) + at(2);
    }
    template <class At, class Add>
    static NORMLAB_INLINE void add(vf x, vf g, At at, Add add) {
        const vf l = line(x, at);
        const auto flat = l <= at(3);
        const vf reciprocal = 1.0f / (flat ? at(3) : l), quotient = g * x * reciprocal;
        const vf squared = quotient * reciprocal, on_line = flat ? vf{} : squared;
        add(0, g);
        add(1, quotient);
        add(2, flat ? squared : vf{});
        add(3, on_line * x);
        add(4, on_line);
    }
    template <class At>
    static NORMLAB_INLINE vf slope(vf x, vf g, At at) {
        const vf l = line(x, at);
        const auto flat = l <= at(3);
        const vf reciprocal = 1.0f / (flat ? at(3) : l);
        return g * at(1) * reciprocal * (flat ? splat(1.0f) : at(5) * reciprocal);
    }
    static void finish(double scale, double* sums) {
        for (int j = 2; j < ADDED; ++j) sums[j] *= -scale;
    }
};

struct Map {
    int64_t N, C, S;
    Layout layout;
    Map(int64_t N, int64_t C, int64_t S, bool nhwc) : N(N), C(C), S(S), layout(C, S, nhwc) {}
    Span span(const Scratch& scratch, int64_t positions) const { return scratch.span(positions, layout); }
};

// Calls body(n, scratch) for a thread's samples, the last first if the map was just gone through.
template <class Body>
void each_sample(const Map& map, int tables, bool backwards, Body body) {
#pragma omp parallel num_threads(team_size(map.N, map.N * map.C * map.S))
    {
        Scratch scratch(map.C, map.layout, tables);
        const auto [begin, end] = own_samples(map.N);
        for (int64_t i = begin; i < end; ++i) body(backwards ? end - 1 - (i - begin) : i, scratch);
    }
}

// A table (N, C) of float64 in any strides, 0 among them; null is a table of zeros.
struct Numbers {
    const double* values;
    int64_t by_sample, by_channel;
    double at(int64_t n, int64_t c) const { return values ? values[n * by_sample + c * by_channel] : 0; }
};

// The numbers of a form: the mean, or null where it is not centred, then the others, A and B first.
struct Made {
    const Numbers* numbers;
    double mean(int64_t n, int64_t c) const { return numbers[0].at(n, c); }
    double scale(int64_t n, int64_t c) const { return numbers[1].at(n, c); }
    double lost(int64_t n, int64_t c) const { return mean(n, c) - double(float(mean(n, c))); }

    // Write a sample's rows as the kernel reads them.
    [[gnu::noinline]] void set_rows(int64_t n, int count, int64_t C, Scratch& scratch) const {
        for (int64_t c = 0; c < C; ++c) {
            scratch.rows[0][c] = float(mean(n, c));
            scratch.rows[2][c] = float(numbers[2].at(n, c) - lost(n, c) * scale(n, c));
        }
        for (int i : {1, 3, 4, 5})
            for (int64_t c = 0; c < C && i < count; ++c) scratch.rows[i][c] = float(numbers[i].at(n, c));
    }
};

// Calls body(s, offset) for each span of sample n, with tables of its rows.
template <class Table, class Body>
NORMLAB_INLINE void each_span(const Map& map, int64_t n, int count, Scratch& scratch, Body body) {
    for (int64_t s = 0; s < map.layout.spans; ++s) {
        scratch.set_tables<Table>(s, count, map.layout);
        body(s, n * map.layout.sample + s * map.layout.length);
    }
}

// The tables of a span in a form's words: at(i) is the i-th number of the channels of vector k.
template <class Table>
NORMLAB_INLINE auto columns(const Scratch& scratch, int k) {
    return [&scratch, k](int i) NORMLAB_BODY { return Table{scratch.tables[i]}[k]; };
}

template <class Form, int K, class Table, bool RESIDUAL, bool RELU, class T>
void apply_form(const Map& map, const T* x, const T* residual, Made made, T* y) {
    each_sample(map, Form::COUNT, true, [&](int64_t n, Scratch& scratch) {
        made.set_rows(n, Form::COUNT, map.C, scratch);
        each_span<Table>(map, n, Form::COUNT, scratch, [&](int64_t, int64_t at) NORMLAB_BODY {
            const Span span = map.span(scratch, map.S);
            const T* added = RESIDUAL ? residual + at : nullptr;
            if constexpr (IS_AFFINE<Form>)
                return apply<K, Table, RESIDUAL, RELU>(x + at, added, y + at, scratch.tables, span);
            else
                return sweep_to<K>(y + at, span.length, span.vectors, [&](int64_t i, int k, auto size) NORMLAB_BODY {
                    const vf value = Form::value(load(x + at + i, size), columns<Table>(scratch, k));
                    return RESIDUAL ? value + load(added + i, size) : value;
                });
        });
    });
}

// Adds a span's values up into the rows of channel s, or of all channels.
template <class Form, int K, class Table, class T>
NORMLAB_INLINE void add_up(const T* x, const T* grad, const Scratch& scratch, const Span& span, double* const* rows,
                           int64_t s) {
    auto sums_at = [&](int j) {
        return Sums<K, Table>(span.memory + j * span.vectors * LANES, j < Form::ADDED ? span.vectors : 0);
    };
    Sums<K, Table> added[] = {sums_at(0), sums_at(1), sums_at(2), sums_at(3), sums_at(4)};
    sweep<K>(span.length, span.vectors, [&](int64_t i, int k, auto size) NORMLAB_BODY {
        Form::add(load(x + i, size), load(grad + i, size), columns<Table>(scratch, k),
                  [&](int j, vf value) NORMLAB_BODY { added[j][k] += keep(value, size); });
    });
    for (int j = 0; j < Form::ADDED; ++j) added[j].add_to(rows[j] + s, span.channels);
}

// Makes gradients of a sample's sums, and adds the row of the centre's.
template <class Form>
[[gnu::noinline]] void finish_sums(Made made, int64_t n, int64_t C, double* const* rows) {
    for (int64_t c = 0; c < C; ++c) {
        double of_plane[Form::ADDED];
        for (int j = 0; j < Form::ADDED; ++j) of_plane[j] = rows[j][c];
        of_plane[1] -= made.lost(n, c) * of_plane[0];
        Form::finish(made.scale(n, c), of_plane);
        for (int j = 0; j < Form::ADDED; ++j) rows[j][c] = of_plane[j];
        rows[Form::ADDED][c] = -of_plane[0] * made.scale(n, c);
    }
}

// The gradients of a form's numbers, B and A first, then that of the centre: (ADDED + 1, N, C). With y, the output of a
// ReLU, g is grad where y > 0, and is written to masked; else g is grad.
template <class Form, int K, class Table, bool RELU, class T>
void sum_form(const Map& map, const T* x, const T* grad, const T* y, T* masked, Made made, double* sums) {
    constexpr int ADDED = Form::ADDED;
    each_sample(map, Form::COUNT, false, [&](int64_t n, Scratch& scratch) {
        made.set_rows(n, Form::COUNT, map.C, scratch);
        double* row[ADDED + 1];
        for (int j = 0; j <= ADDED; ++j) {
            row[j] = sums + (j * map.N + n) * map.C;
            std::fill_n(row[j], map.C, 0.0);
        }
        each_span<Table>(map, n, Form::COUNT, scratch, [&](int64_t s, int64_t first) NORMLAB_BODY {
            for (int64_t start = 0; start < map.S; start += map.layout.block) {
                const int64_t at = first + start * map.layout.channels;
                const Span span = map.span(scratch, std::min(map.layout.block, map.S - start));
                if constexpr (IS_AFFINE<Form>)
                    sum_gradients<K, Table, RELU>(x + at, grad + at, RELU ? y + at : nullptr, RELU ? masked + at : nullptr,
                                                  scratch.tables[0], span, row[0] + s, row[1] + s);
                else
                    add_up<Form, K, Table>(x + at, grad + at, scratch, span, row, s);
            }
        });
        finish_sums<Form>(made, n, map.C, row);
    });
}

// What flows back into each plane's mean, by way of the centre too, and into its variance, whose derivatives by x are
// 1 / S and 2 (x - mean) / S.
struct Back {
    const double *mean, *by_centre;  // (N, C); by_centre may be null
    Numbers by_mean, by_var;

    // Write the rows Q and R of a sample behind its form's.
    [[gnu::noinline]] void set_rows(int64_t n, int first, const Map& map, Scratch& scratch) const {
        for (int64_t c = 0; c < map.C; ++c) {
            const int64_t plane = n * map.C + c;
            const double slope = 2.0 / map.S * by_var.at(n, c);
            const double level = (by_mean.at(n, c) + (by_centre ? by_centre[plane] : 0)) / map.S;
            scratch.rows[first][c] = float(slope);
            scratch.rows[first + 1][c] = float(level + (scratch.rows[0][c] - mean[plane]) * slope);
        }
    }
};

template <class Form, int K, class Table, class T>
void combine_form(const Map& map, const T* x, const T* grad, Made made, const Back& back, T* dx) {
    constexpr int COUNT = Form::COUNT + 2;
    each_sample(map, COUNT, true, [&](int64_t n, Scratch& scratch) {
        made.set_rows(n, Form::COUNT, map.C, scratch);
        back.set_rows(n, Form::COUNT, map, scratch);
        each_span<Table>(map, n, COUNT, scratch, [&](int64_t, int64_t at) NORMLAB_BODY {
            const Span span = map.span(scratch, map.S);
            if constexpr (IS_AFFINE<Form>) {
                const float* const tables[] = {scratch.tables[0], scratch.tables[1], scratch.tables[3], scratch.tables[4]};
                return combine<K, Table>(x + at, grad + at, dx + at, tables, span);
            } else {
                return sweep_to<K>(dx + at, span.length, span.vectors, [&](int64_t i, int k, auto size) NORMLAB_BODY {
                    const auto table = columns<Table>(scratch, k);
                    const vf values = load(x + at + i, size);
                    return Form::slope(values, load(grad + at + i, size), table) +
                           ((values - table(0)) * table(Form::COUNT) + table(Form::COUNT + 1));
                });
            }
        });
    });
}

// Calls run<Form, K, Table, T>() for the form of that number in forms.py, and for type and layout. Only the affine form has
// loops of its own for periods of eight vectors: they take long to compile, and the others' sums would not fit into registers.
template <class Run>
void with_form(int form, bool is_bf16, const Map& map, bool nhwc, Run run) {
    dispatch(is_bf16, nhwc, map.layout.vectors, [&]<int K, class Table, class T>() {
        constexpr int ANY = K > 4 ? 0 : K;
        if (form == 0)
            run.template operator()<Affine, K, Table, T>();
        else if (form == 1)
            run.template operator()<Floor, ANY, Table, T>();
        else if (form == 2)
            run.template operator()<Swish, ANY, Table, T>();
        else
            run.template operator()<Quotient, ANY, Table, T>();
    });
}

}  // namespace
}  // namespace normlab

using namespace normlab;

// mean and var are (N, C).
extern "C" void planes_moments(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, const void* x, double* mean,
                               double* var) {
    const Map map(N, C, S, nhwc);
    dispatch(is_bf16, nhwc, map.layout.vectors, [&]<int K, class Table, class T>() {
        each_sample(map, 1, false, [&](int64_t n, Scratch& scratch) {
            sample_moments<K, Table>(static_cast<const T*>(x) + n * map.layout.sample, S, map.layout, scratch,
                                     mean + n * C, var + n * C);
        });
    });
}

// numbers: the mean or none, then as many as the form has. residual may be null. A ReLU is the affine form's alone.
extern "C" void planes_apply(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int form, int relu, const void* x,
                             const void* residual, const Numbers* numbers, void* y) {
    const Map map(N, C, S, nhwc);
    const Made made{numbers};
    with_form(form, is_bf16, map, nhwc, [&]<class Form, int K, class Table, class T>() {
        const auto *values = static_cast<const T*>(x), *added = static_cast<const T*>(residual);
        T* out = static_cast<T*>(y);
        if constexpr (IS_AFFINE<Form>) {
            if (relu && added) return apply_form<Form, K, Table, true, true>(map, values, added, made, out);
            if (relu) return apply_form<Form, K, Table, false, true>(map, values, added, made, out);
        }
        if (added) return apply_form<Form, K, Table, true, false>(map, values, added, made, out);
        apply_form<Form, K, Table, false, false>(map, values, added, made, out);
    });
}

extern "C" void planes_sums(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int form, const void* x,
                            const void* grad, const void* y, void* masked, const Numbers* numbers, double* sums) {
    const Map map(N, C, S, nhwc);
    const Made made{numbers};
    with_form(form, is_bf16, map, nhwc, [&]<class Form, int K, class Table, class T>() {
        const auto *values = static_cast<const T*>(x), *g = static_cast<const T*>(grad),
                   *signs = static_cast<const T*>(y);
        T* out = static_cast<T*>(masked);
        if constexpr (IS_AFFINE<Form>)
            if (y) return sum_form<Form, K, Table, true>(map, values, g, signs, out, made, sums);
        sum_form<Form, K, Table, false>(map, values, g, signs, out, made, sums);
    });
}

// by_mean, by_var: one of each, with null values where nothing flows; by_centre: (N, C) of planes_sums, or null.
extern "C" void planes_combine(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int form, const void* x,
                               const void* grad, const Numbers* numbers, const double* mean, const Numbers* by_mean,
                               const Numbers* by_var, const double* by_centre, void* dx) {
    const Map map(N, C, S, nhwc);
    const Made made{numbers};
    const Back back{mean, by_centre, *by_mean, *by_var};
    with_form(form, is_bf16, map, nhwc, [&]<class Form, int K, class Table, class T>() {
        combine_form<Form, K, Table>(map, static_cast<const T*>(x), static_cast<const T*>(grad), made, back,
                                     static_cast<T*>(dx));
    });
}
