// The linear-chain CRF on a CPU: log Z or the negative log-likelihood with its gradient, and Viterbi's path. The
// definition is nn/crf_lattice.py and nn/crf_decoding.py.
//
// Sixteen sentences run side by side, one in each lane of a vector, the longest first: whatever the number of tags,
// no lane is idle, and nothing is ever summed or compared across lanes.
// The forward recursion runs on probabilities, one matrix-vector product a step instead of K^2 exponentials:
//     s(j) = sum_i a(i) M(i, j),   a = exp(alpha - max alpha),   M(i, j) = exp(A(i, j) - max_i A(i, j)).
// What underflows in `a` is below 1e-37, so s(j) is exact wherever it exceeds kSmall; a column below that (extreme
// scores, forbidden transitions) is summed again in log space. Levels are added up in double.
// The gradient is the posterior, sent back through the same weights: p_{t-1}(i) = sum_j a(i) M(i, j) p_t(j) / s(j).
// Groups are added up in their order, so that results do not depend on the number of threads.
#include "crf.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "../runtime/spans.h"
#include "../runtime/vector_math.h"

using normlab::exp_fast;
using normlab::log_fast;

namespace {

constexpr float kImpossible = -1e30f;  // FORBIDDEN in scores.py
constexpr float kSmall = 1e-29f;
constexpr int64_t L = kCrfLanes;

// Sixteen numbers at once, on any machine (compilers split them as needed).
typedef float Vector __attribute__((vector_size(L * 4)));
typedef int32_t IntVector __attribute__((vector_size(L * 4)));

Vector load(const float* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
}
void store(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }
Vector larger(Vector a, Vector b) { return a > b ? a : b; }

float total(const float* lanes) {
    float sum = 0;
    for (int64_t l = 0; l < L; l++) sum += lanes[l];
    return sum;
}

// Memory that is aligned to whole vectors, zeros.
class Floats {
  public:
    explicit Floats(int64_t size) : memory_((size + L - 1) / L) {}
    float* data() { return reinterpret_cast<float*>(memory_.data()); }
    const float* data() const { return reinterpret_cast<const float*>(memory_.data()); }
    float& operator[](int64_t i) { return data()[i]; }
    float operator[](int64_t i) const { return data()[i]; }

  private:
    std::vector<Vector> memory_;
};

// The two hottest loops go through the lanes in parts as wide as the registers: wider vectors stay in memory.
using Lanes = normlab::vf;
using IntLanes = normlab::vi;
constexpr int64_t kLanes = normlab::LANES;
constexpr int64_t kBestColumns = kLanes == 16 ? 8 : 4;  // two registers a column: 32 there are, or 16

// out(j) = sum_i a(i) weights(i, j) for J columns from the first on, which stay in registers.
template <int J>
__attribute__((noinline)) void weighted_columns(const float* a, const float* weights, int64_t K, float* out) {
    for (int64_t part = 0; part < L; part += kLanes) {
        Lanes sums[J] = {};
        for (int64_t i = 0; i < K; i++) {
            const Lanes weight = normlab::load(a + i * L + part, normlab::Full{});
#pragma GCC unroll 8
            for (int j = 0; j < J; j++) sums[j] += weight * weights[i * K + j];
        }
        for (int j = 0; j < J; j++) normlab::store(out + j * L + part, sums[j], normlab::Full{});
    }
}

// highest(j) = max_i score(i) + scores(i, j), and the first i that has it.
template <int J>
__attribute__((noinline)) void best_columns(const float* score, const float* scores, int64_t K, float* highest,
                                            int32_t* origin) {
    for (int64_t part = 0; part < L; part += kLanes) {
        Lanes best[J];
        IntLanes from[J] = {};
        for (int j = 0; j < J; j++) best[j] = normlab::load(score + part, normlab::Full{}) + scores[j];
        for (int32_t i = 1; i < K; i++) {
            const Lanes before = normlab::load(score + i * L + part, normlab::Full{});
#pragma GCC unroll 8
            for (int j = 0; j < J; j++) {
                const Lanes candidate = before + scores[i * K + j];
                const IntLanes better = candidate > best[j];
                best[j] = better ? candidate : best[j];
                from[j] = better ? i + IntLanes{} : from[j];
            }
        }
        for (int j = 0; j < J; j++) {
            normlab::store(highest + j * L + part, best[j], normlab::Full{});
            std::memcpy(origin + j * L + part, &from[j], sizeof from[j]);
        }
    }
}

// Calls run<J>(first) for all K columns in blocks of J <= most <= 8 of about the same size.
template <class Run>
void in_blocks(int64_t K, int64_t most, Run run) {
    const int64_t blocks = (K + most - 1) / most;
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t first = K * block / blocks;
        switch (K * (block + 1) / blocks - first) {
            case 1: run.template operator()<1>(first); break;
            case 2: run.template operator()<2>(first); break;
            case 3: run.template operator()<3>(first); break;
            case 4: run.template operator()<4>(first); break;
            case 5: run.template operator()<5>(first); break;
            case 6: run.template operator()<6>(first); break;
            case 7: run.template operator()<7>(first); break;
            default: run.template operator()<8>(first); break;
        }
    }
}

// The scores, impossible where they are not legal, and the exponentials of the transitions.
struct Scores {
    int64_t K;
    std::vector<float> start, transitions, end;  // A is (K, K)
    std::vector<float> weights, transposed;      // M and its transpose
    Floats column_max;                           // max_i A(i, j) in every lane

    explicit Scores(const CrfCall& call, bool with_weights = true)
        : K(call.K), start(legal(call.start, call.legal_start, K)),
          transitions(legal(call.transitions, call.legal_transitions, K * K)),
          end(legal(call.end, call.legal_end, K)), column_max(K * L) {
        if (!with_weights) return;
        weights.resize(K * K);
        transposed.resize(K * K);
        for (int64_t j = 0; j < K; j++) {
            float highest = transitions[j];
            for (int64_t i = 1; i < K; i++) highest = std::max(highest, transitions[i * K + j]);
            std::fill(&column_max[j * L], &column_max[j * L] + L, highest);
        }
        for (int64_t i = 0; i < K; i++) {
#pragma omp simd
            for (int64_t j = 0; j < K; j++)
                weights[i * K + j] = exp_fast(transitions[i * K + j] - column_max[j * L]);
            for (int64_t j = 0; j < K; j++) transposed[j * K + i] = weights[i * K + j];
        }
    }

    static std::vector<float> legal(const float* scores, const uint8_t* allowed, int64_t size) {
        std::vector<float> kept(scores, scores + size);
        for (int64_t i = 0; allowed && i < size; i++)
            if (!allowed[i]) kept[i] = kImpossible;
        return kept;
    }
};

// The real positions of each sentence, and the sentences by length, longest first.
struct Batch {
    std::vector<int32_t> positions, lengths, order;
    int64_t T, groups;

    explicit Batch(const CrfCall& call)
        : positions(call.B * call.T), lengths(call.B), order(call.B), T(call.T), groups((call.B + L - 1) / L) {
        for (int64_t b = 0; b < call.B; b++) {
            int32_t* of_sentence = positions.data() + b * T;
            int32_t count = 0;
            for (int32_t t = 0; t < T; t++) {
                of_sentence[count] = t;
                count += !call.mask || call.mask[b * T + t];
            }
            lengths[b] = count;
        }
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return lengths[a] > lengths[b]; });
    }
};

// Up to sixteen sentences.
struct Group {
    int64_t count, steps;
    int64_t row[L], length[L];        // sentence of the batch, its words
    const int32_t* positions[L];

    Group(const Batch& batch, int64_t g) : count(std::min<int64_t>(L, (int64_t)batch.order.size() - g * L)) {
        for (int64_t l = 0; l < count; l++) {
            row[l] = batch.order[g * L + l];
            length[l] = batch.lengths[row[l]];
            positions[l] = batch.positions.data() + row[l] * batch.T;
        }
        steps = length[0];
    }
    // How many sentences have a word at step t: those of the first lanes.
    int64_t active(int64_t t) const {
        int64_t lanes = count;
        while (lanes && length[lanes - 1] <= t) lanes--;
        return lanes;
    }
    // The word at step t of lane l, counted over the whole batch.
    int64_t word(const CrfCall& call, int64_t t, int64_t l) const { return row[l] * call.T + positions[l][t]; }

    // The scores of step t, (K, L); 0 where a sentence is over.
    void read(const CrfCall& call, int64_t t, int64_t lanes, float* emitted) const {
        const int64_t K = call.K;
        for (int64_t l = 0; l < lanes; l++) {
            const float* from = call.emissions + word(call, t, l) * K;
            for (int64_t j = 0; j < K; j++) emitted[j * L + l] = from[j];
        }
        for (int64_t l = lanes; l < L; l++)
            for (int64_t j = 0; j < K; j++) emitted[j * L + l] = 0;
    }
};

// The tape of one group: log_alpha, alpha and s of each step, (K, L) each.
struct Tape {
    float* memory;
    int64_t size;  // K * L
    Tape(const CrfCall& call, int64_t g) : memory(call.tape + g * call.T * 3 * call.K * L), size(call.K * L) {}
    float* log_alpha(int64_t t) const { return memory + 3 * t * size; }
    float* alpha(int64_t t) const { return memory + (3 * t + 1) * size; }
    float* sums(int64_t t) const { return memory + (3 * t + 2) * size; }
};

// logsum_i(log_alpha[t-1](i) + A(i, j)) of one lane, whatever the scores.
float arrive_in_log_space(const Scores& scores, const float* before, int64_t l, int64_t j) {
    const int64_t K = scores.K;
    float peak = 2 * kImpossible, sum = 0;
    for (int64_t i = 0; i < K; i++) peak = std::max(peak, before[i * L + l] + scores.transitions[i * K + j]);
    for (int64_t i = 0; i < K; i++) sum += std::exp(before[i * L + l] + scores.transitions[i * K + j] - peak);
    return peak + std::log(sum);
}

// log_alpha[t] before the emissions of step t.
void arrive(const Scores& scores, const Tape& tape, int64_t t, int64_t lanes) {
    const int64_t K = scores.K;
    float *sums = tape.sums(t), *arriving = tape.log_alpha(t);
    in_blocks(K, 8, [&]<int J>(int64_t first) {
        weighted_columns<J>(tape.alpha(t - 1), scores.weights.data() + first, K, sums + first * L);
    });
    const float* highest = scores.column_max.data();
#pragma omp simd
    for (int64_t x = 0; x < K * L; x++) arriving[x] = log_fast(std::max(sums[x], kSmall)) + highest[x];
    Vector lowest = load(sums);
    for (int64_t j = 1; j < K; j++) lowest = -larger(-lowest, -load(sums + j * L));
    for (int64_t l = 0; l < lanes; l++) {
        if (lowest[l] >= kSmall) continue;
        for (int64_t j = 0; j < K; j++)
            if (sums[j * L + l] < kSmall)
                arriving[j * L + l] = arrive_in_log_space(scores, tape.log_alpha(t - 1), l, j);
    }
}

// Writes p(y = j) of words that end their sentences, (K, L); returns log Z above the level, in every lane.
Vector finish(const Scores& scores, const float* log_alpha, float* posterior) {
    const int64_t K = scores.K;
    Vector peak = load(log_alpha) + scores.end[0], sum = {};
    for (int64_t j = 1; j < K; j++) peak = larger(peak, load(log_alpha + j * L) + scores.end[j]);
    for (int64_t j = 0; j < K; j++) store(posterior + j * L, load(log_alpha + j * L) + scores.end[j] - peak);
#pragma omp simd
    for (int64_t x = 0; x < K * L; x++) posterior[x] = exp_fast(posterior[x]);
    for (int64_t j = 0; j < K; j++) sum += load(posterior + j * L);
    const Vector scale = 1.0f / sum;
    for (int64_t j = 0; j < K; j++) store(posterior + j * L, load(posterior + j * L) * scale);
    Vector log_sum;
    for (int64_t l = 0; l < L; l++) log_sum[l] = std::log(sum[l]);
    return peak + log_sum;
}

// The forward recursion of a group into its tape; log Z of each lane.
void forward(const CrfCall& call, const Scores& scores, const Group& group, const Tape& tape, double* log_z) {
    const int64_t K = call.K;
    Floats emitted(K * L), last(K * L);
    double level[L] = {};
    for (int64_t t = 0; t < group.steps; t++) {
        const int64_t lanes = group.active(t);
        float *log_alpha = tape.log_alpha(t), *alpha = tape.alpha(t);
        group.read(call, t, lanes, emitted.data());
        if (t)
            arrive(scores, tape, t, lanes);
        else
            for (int64_t j = 0; j < K; j++) store(log_alpha + j * L, Vector{} + scores.start[j]);
        Vector peak = load(log_alpha) + load(emitted.data());
        for (int64_t j = 0; j < K; j++) {
            const Vector scored = load(log_alpha + j * L) + load(&emitted[j * L]);
            peak = larger(peak, scored);
            store(log_alpha + j * L, scored);
        }
        for (int64_t j = 0; j < K; j++) store(log_alpha + j * L, load(log_alpha + j * L) - peak);
#pragma omp simd
        for (int64_t x = 0; x < K * L; x++) alpha[x] = exp_fast(log_alpha[x]);
        for (int64_t l = 0; l < lanes; l++) level[l] += peak[l];
        const int64_t going_on = group.active(t + 1);
        if (going_on == lanes) continue;
        const Vector above = finish(scores, log_alpha, last.data());
        for (int64_t l = going_on; l < lanes; l++) log_z[l] = level[l] + above[l];
    }
}

// The gradients of the scores from one group.
struct Gradients {
    std::vector<float> start, transitions, end;
    explicit Gradients(int64_t K) : start(K), transitions(K * K), end(K) {}
};

class Backward {
  public:
    Backward(const CrfCall& call, const Scores& scores, const Group& group, int64_t g, Gradients& gradients)
        : call_(call), scores_(scores), group_(group), tape_(call, g), gradients_(gradients), K_(call.K), posterior_(K_ * L),
          ratio_(K_ * L), back_(K_ * L), ending_(K_ * L), ends_(K_ * L), counts_(K_ * K_ * L) {
        for (int64_t l = 0; l < L; l++)
            weight_[l] = l < group.count ? call.grad_scale * call.grad_loss[group.row[l] * call.grad_stride] : 0.0f;
    }

    // Weight times the expected counts, p(y_t = j) and their like, less the gold sequences' counts.
    void run() {
        int64_t before = 0;
        for (int64_t t = group_.steps - 1; t >= 0; t--) {
            const int64_t lanes = group_.active(t);
            if (lanes > before) begin(t, before, lanes);
            before = lanes;
            write(t, lanes);
            if (t) retreat(t, lanes);
        }
        for (int64_t j = 0; j < K_; j++) {
            store(&ratio_[j * L], weight_ * load(&posterior_[j * L]));
            gradients_.start[j] += total(&ratio_[j * L]);
            gradients_.end[j] += total(&ends_[j * L]);
        }
        for (int64_t ij = 0; ij < K_ * K_; ij++) gradients_.transitions[ij] += total(&counts_[ij * L]) * scores_.weights[ij];
        if (call_.tags)
            for (int64_t l = 0; l < group_.count; l++) take_gold(l);
    }

  private:
    // Lanes [first, last) have their last word at step t.
    void begin(int64_t t, int64_t first, int64_t last) {
        finish(scores_, tape_.log_alpha(t), ending_.data());
        for (int64_t j = 0; j < K_; j++)
            for (int64_t l = first; l < last; l++) {
                posterior_[j * L + l] = ending_[j * L + l];
                ends_[j * L + l] = weight_[l] * ending_[j * L + l];
            }
    }

    void write(int64_t t, int64_t lanes) {
        for (int64_t l = 0; l < lanes; l++) {
            float* grad = call_.grad_emissions + group_.word(call_, t, l) * K_;
            for (int64_t j = 0; j < K_; j++) grad[j] = weight_[l] * posterior_[j * L + l];
        }
    }

    // From the posterior of step t to that of t - 1; counts_ gets a(i) p(j) / s(j), still without M(i, j).
    void retreat(int64_t t, int64_t lanes) {
        const float *sums = tape_.sums(t), *before = tape_.alpha(t - 1);
        Vector inexact = {};
        for (int64_t j = 0; j < K_; j++) {
            const Vector sum = load(sums + j * L), p = load(&posterior_[j * L]);
            const IntVector exact = sum >= kSmall;
            store(&ratio_[j * L], exact ? p / sum : Vector{});
            inexact += exact ? Vector{} : p;
        }
        in_blocks(K_, 8, [&]<int J>(int64_t first) {
            weighted_columns<J>(ratio_.data(), scores_.transposed.data() + first, K_, &back_[first * L]);
        });
        for (int64_t i = 0; i < K_; i++) {
            const Vector alpha = load(before + i * L), weighted = alpha * weight_;
            store(&back_[i * L], load(&back_[i * L]) * alpha);
            float* counts = &counts_[i * K_ * L];
            for (int64_t j = 0; j < K_; j++)
                store(counts + j * L, load(counts + j * L) + weighted * load(&ratio_[j * L]));
        }
        for (int64_t l = 0; l < lanes; l++)
            if (inexact[l] > 0) retreat_in_log_space(t, l);
        Vector sum = {};
        for (int64_t i = 0; i < K_; i++) sum += load(&back_[i * L]);
        const Vector scale = sum > 0.0f ? 1.0f / sum : Vector{};  // so that rounding never adds up
        for (int64_t i = 0; i < K_; i++) store(&posterior_[i * L], load(&back_[i * L]) * scale);
    }

    void retreat_in_log_space(int64_t t, int64_t l) {
        const float *sums = tape_.sums(t), *before = tape_.log_alpha(t - 1);
        for (int64_t j = 0; j < K_; j++) {
            if (sums[j * L + l] >= kSmall || posterior_[j * L + l] == 0) continue;
            const float arriving = arrive_in_log_space(scores_, before, l, j);
            for (int64_t i = 0; i < K_; i++) {
                const float log_pair = before[i * L + l] + scores_.transitions[i * K_ + j] - arriving;
                const float pair = posterior_[j * L + l] * std::exp(log_pair);
                back_[i * L + l] += pair;
                gradients_.transitions[i * K_ + j] += weight_[l] * pair;
            }
        }
    }

    void take_gold(int64_t l) {
        const int64_t* tags = call_.tags + group_.row[l] * call_.T;
        for (int64_t t = 0, before = 0; t < group_.length[l]; t++) {
            const int64_t tag = tags[group_.positions[l][t]];
            call_.grad_emissions[group_.word(call_, t, l) * K_ + tag] -= weight_[l];
            if (t)
                gradients_.transitions[before * K_ + tag] -= weight_[l];
            else
                gradients_.start[tag] -= weight_[l];
            if (t + 1 == group_.length[l]) gradients_.end[tag] -= weight_[l];
            before = tag;
        }
    }

    const CrfCall& call_;
    const Scores& scores_;
    const Group& group_;
    const Tape tape_;
    Gradients& gradients_;
    const int64_t K_;
    Vector weight_;
    Floats posterior_, ratio_, back_, ending_, ends_, counts_;
};

bool tags_in_range(const CrfCall& call, const Group& group, int64_t l) {
    const int64_t* tags = call.tags + group.row[l] * call.T;
    return std::all_of(group.positions[l], group.positions[l] + group.length[l],
                       [&](int32_t t) { return tags[t] >= 0 && tags[t] < call.K; });
}

double gold_score(const CrfCall& call, const Scores& scores, const Group& group, int64_t l) {
    const int64_t *tags = call.tags + group.row[l] * call.T, n = group.length[l];
    double score = 0;
    for (int64_t t = 0, before = 0; t < n; t++) {
        const int64_t tag = tags[group.positions[l][t]];
        score += call.emissions[group.word(call, t, l) * call.K + tag];
        score += t ? scores.transitions[before * call.K + tag] : scores.start[tag];
        if (t + 1 == n) score += scores.end[tag];
        before = tag;
    }
    return score;
}

void best_paths(const CrfCall& call, const Scores& scores, const Group& group) {
    const int64_t K = call.K;
    Floats score(K * L), best(K * L), emitted(K * L), ended(K * L);
    std::vector<int32_t> origin(group.steps * K * L);
    for (int64_t t = 0; t < group.steps; t++) {
        const int64_t lanes = group.active(t), going_on = group.active(t + 1);
        group.read(call, t, lanes, emitted.data());
        if (t)
            in_blocks(K, kBestColumns, [&]<int J>(int64_t first) {
                best_columns<J>(score.data(), scores.transitions.data() + first, K, &best[first * L],
                                &origin[(t * K + first) * L]);
            });
        else
            for (int64_t j = 0; j < K; j++) store(&best[j * L], Vector{} + scores.start[j]);
        Vector peak = load(best.data()) + load(emitted.data());
        for (int64_t j = 0; j < K; j++) {
            const Vector scored = load(&best[j * L]) + load(&emitted[j * L]);
            peak = larger(peak, scored);
            store(&best[j * L], scored);
        }
        // Small numbers keep their digits in a long sentence.
        for (int64_t j = 0; j < K; j++) store(&score[j * L], load(&best[j * L]) - peak);
        for (int64_t j = 0; j < K && going_on < lanes; j++)
            for (int64_t l = going_on; l < lanes; l++) ended[j * L + l] = score[j * L + l] + scores.end[j];
    }
    for (int64_t l = 0; l < group.count; l++) {
        int64_t tag = 0;
        for (int64_t j = 1; j < K; j++)
            if (ended[j * L + l] > ended[tag * L + l]) tag = j;
        for (int64_t t = group.length[l] - 1; t >= 0; t--) {
            call.path[group.word(call, t, l)] = tag;
            tag = t ? origin[(t * K + tag) * L + l] : 0;
        }
    }
}

// As many threads as there are groups, or one where waking another would cost more than it saves.
int team(const CrfCall& call, int64_t groups) {
    return call.B * call.T * call.K * call.K > 1000000 ? (int)std::min(call.threads, groups) : 1;
}

}  // namespace

// Returns the first sentence with a tag outside 0..K-1, -1 if there is none.
extern "C" int64_t crf_loss(const CrfCall* arguments) {
    const CrfCall& call = *arguments;
    const Scores scores(call);
    const Batch batch(call);
    int64_t wrong = call.B;
    const int threads = team(call, batch.groups);
#pragma omp parallel for num_threads(threads) reduction(min : wrong) if (threads > 1)
    for (int64_t g = 0; g < batch.groups; g++) {
        const Group group(batch, g);
        double log_z[L] = {};
        for (int64_t l = 0; l < group.count; l++)
            if (call.tags && !tags_in_range(call, group, l)) wrong = std::min(wrong, group.row[l]);
        if (wrong < call.B) continue;
        forward(call, scores, group, Tape(call, g), log_z);
        for (int64_t l = 0; l < group.count; l++)
            call.loss[group.row[l]] = (float)(log_z[l] - (call.tags ? gold_score(call, scores, group, l) : 0.0));
    }
    return wrong == call.B ? -1 : wrong;
}

// After crf_loss, with its tape: the gradient of the sum of grad_loss times loss.
extern "C" void crf_loss_backward(const CrfCall* arguments) {
    const CrfCall& call = *arguments;
    const Scores scores(call);
    const Batch batch(call);
    const int64_t K = call.K;
    std::vector<Gradients> parts(batch.groups, Gradients(K));
    const int threads = team(call, batch.groups);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t g = 0; g < batch.groups; g++) {
        const Group group(batch, g);
        Backward(call, scores, group, g, parts[g]).run();
    }
    auto add_up = [&](std::vector<float> Gradients::*part, const uint8_t* legal, int64_t size, float* sum) {
        std::fill(sum, sum + size, 0.0f);
        for (const Gradients& of_group : parts)
            for (int64_t i = 0; i < size; i++) sum[i] += (of_group.*part)[i];
        for (int64_t i = 0; legal && i < size; i++)
            if (!legal[i]) sum[i] = 0;
    };
    add_up(&Gradients::start, call.legal_start, K, call.grad_start);
    add_up(&Gradients::transitions, call.legal_transitions, K * K, call.grad_transitions);
    add_up(&Gradients::end, call.legal_end, K, call.grad_end);
}

extern "C" void crf_viterbi(const CrfCall* arguments) {
    const CrfCall& call = *arguments;
    const Scores scores(call, false);
    const Batch batch(call);
    const int threads = team(call, batch.groups);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t g = 0; g < batch.groups; g++) best_paths(call, scores, Group(batch, g));
}
