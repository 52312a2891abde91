// The linear-chain CRF on a CPU: log Z or the negative log-likelihood with its gradient, and Viterbi's path. The
// definition is nn/crf_lattice.py and nn/crf_decoding.py.
//
// The forward recursion runs on probabilities, one matrix-vector product a step instead of K^2 exponentials:
//     s(j) = sum_i a(i) M(i, j),   a = exp(alpha - max alpha),   M(i, j) = exp(A(i, j) - max_i A(i, j)).
// What underflows in `a` is below 1e-37, so s(j) is exact wherever it exceeds kSmall; a column below that (extreme
// scores, forbidden transitions) is summed again in log space. Levels are added up in double.
// The gradient is the posterior, sent back through the same weights: p_{t-1}(i) = sum_j a(i) M(i, j) p_t(j) / s(j).
//
// Letters: B sentences, T positions, K tags, P = K rounded up to whole vectors (the surplus tags are impossible).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "vector_math.h"

using normlab::exp_fast;
using normlab::log_fast;

// The order of fields is that of `_Call` in crf.py.
extern "C" struct CrfCall {
    const float* emissions;           // (B, T, K)
    const int64_t* tags;              // (B, T), or null for log Z alone
    const uint8_t* mask;              // (B, T), not 0 where a position is real
    const float *start, *transitions, *end;
    float *loss, *tape;               // (B,); (B, T, 3, P), what the backward pass needs of the forward pass
    const float* grad_loss;           // (B,)
    float *grad_emissions, *grad_start, *grad_transitions, *grad_end;  // (B, T, K) zeroed; (K,), (K, K), (K,)
    int64_t* path;                    // (B, T), zeros where the caller wants padding
    int64_t B, T, K, threads;
};

namespace {

constexpr float kImpossible = -1e30f;  // FORBIDDEN in nn/crf_lattice.py
constexpr float kSmall = 1e-29f;

using Floats = std::vector<float>;

// Sixteen numbers at once, on any machine (compilers split them as needed).
constexpr int64_t kLanes = 16;
typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVector __attribute__((vector_size(kLanes * 4)));

Vector load(const float* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
}
void store(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }

// out(j) = sum_i a(i) rows(i, j) for P columns; two sums, so that an addition need not wait for the one before.
void weighted_rows(const float* a, const float* rows, int64_t K, int64_t P, float* out) {
    for (int64_t j = 0; j < P; j += kLanes) {
        Vector even = {}, odd = {};
        int64_t i = 0;
        for (; i + 1 < K; i += 2) {
            even += a[i] * load(rows + i * P + j);
            odd += a[i + 1] * load(rows + (i + 1) * P + j);
        }
        if (i < K) even += a[i] * load(rows + i * P + j);
        store(out + j, even + odd);
    }
}

float maximum(const float* values, int64_t n) {
    float highest = values[0];
#pragma omp simd reduction(max : highest)
    for (int64_t j = 0; j < n; j++) highest = std::max(highest, values[j]);
    return highest;
}

// The transition scores and their exponentials, padded to P columns.
struct Transitions {
    int64_t K, P;
    Floats scores, weights, transposed, column_max;  // A; M (K, P); M^T (K, P); max_i A(i, j)

    Transitions(const float* given, int64_t tags)
        : K(tags), P((tags + 15) / 16 * 16), scores(K * P, kImpossible), weights(K * P), transposed(K * P),
          column_max(P, kImpossible) {
        for (int64_t i = 0; i < K; i++)
            for (int64_t j = 0; j < K; j++) {
                scores[i * P + j] = given[i * K + j];
                column_max[j] = i ? std::max(column_max[j], given[i * K + j]) : given[j];
            }
        for (int64_t i = 0; i < K; i++)
            for (int64_t j = 0; j < K; j++)
                weights[i * P + j] = transposed[j * P + i] = std::exp(scores[i * P + j] - column_max[j]);
    }
};

// The forward recursion of one sentence of n words: log_alpha, alpha and s of each, in the tape.
class Forward {
  public:
    Forward(const CrfCall& call, const Transitions& m, int64_t b)
        : m_(m), call_(call), tape_(call.tape + b * call.T * 3 * m.P) {}

    float* log_alpha(int64_t t) const { return tape_ + 3 * t * m_.P; }
    float* alpha(int64_t t) const { return tape_ + (3 * t + 1) * m_.P; }
    float* sums(int64_t t) const { return tape_ + (3 * t + 2) * m_.P; }

    // Returns log Z; `words` are the sentence's real positions.
    double run(const float* emissions, const std::vector<int64_t>& words) const {
        const int64_t K = m_.K, n = (int64_t)words.size();
        double level = 0;
        for (int64_t t = 0; t < n; t++) {
            const float* scores = emissions + words[t] * K;
            if (t == 0) {
                std::fill(log_alpha(0) + K, log_alpha(0) + m_.P, kImpossible);
                std::copy(call_.start, call_.start + K, log_alpha(0));
            } else {
                arrive(t);
            }
            for (int64_t j = 0; j < K; j++) log_alpha(t)[j] += scores[j];
            level += lower(t);
        }
        Floats last(m_.P);
        return level + finish(n, last.data());
    }

    // Writes p(y_n = j) of the last word, P numbers; returns log Z above the level.
    double finish(int64_t n, float* posterior) const {
        const float* last = log_alpha(n - 1);
        for (int64_t j = 0; j < m_.P; j++) posterior[j] = j < m_.K ? last[j] + call_.end[j] : kImpossible;
        const float peak = maximum(posterior, m_.K);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < m_.P; j++) {
            posterior[j] = j < m_.K ? exp_fast(posterior[j] - peak) : 0.0f;
            sum += posterior[j];
        }
#pragma omp simd
        for (int64_t j = 0; j < m_.P; j++) posterior[j] /= sum;
        return (double)peak + std::log((double)sum);
    }

    // logsum_i(log_alpha[t-1](i) + A(i, j)), whatever the scores.
    float arrive_in_log_space(int64_t t, int64_t j) const {
        const float* before = log_alpha(t - 1);
        float peak = 2 * kImpossible, sum = 0;
        for (int64_t i = 0; i < m_.K; i++) peak = std::max(peak, before[i] + m_.scores[i * m_.P + j]);
        for (int64_t i = 0; i < m_.K; i++) sum += std::exp(before[i] + m_.scores[i * m_.P + j] - peak);
        return peak + std::log(sum);
    }

  private:
    // log_alpha[t] before the emissions.
    void arrive(int64_t t) const {
        float *sum = sums(t), *arriving = log_alpha(t);
        weighted_rows(alpha(t - 1), m_.weights.data(), m_.K, m_.P, sum);
        float lowest = 1.0f;
#pragma omp simd reduction(min : lowest)
        for (int64_t j = 0; j < m_.P; j++) {
            arriving[j] = log_fast(std::max(sum[j], kSmall)) + m_.column_max[j];
            lowest = std::min(lowest, j < m_.K ? sum[j] : 1.0f);
        }
        if (lowest >= kSmall) return;
        for (int64_t j = 0; j < m_.K; j++)
            if (sum[j] < kSmall) arriving[j] = arrive_in_log_space(t, j);
    }

    // Subtracts the maximum of log_alpha[t], takes its exponential, returns what was subtracted.
    float lower(int64_t t) const {
        float *scores = log_alpha(t), *weights = alpha(t);
        const float peak = maximum(scores, m_.K);
#pragma omp simd
        for (int64_t j = 0; j < m_.P; j++) {
            scores[j] -= peak;
            weights[j] = exp_fast(scores[j]);
        }
        return peak;
    }

    const Transitions& m_;
    const CrfCall& call_;
    float* tape_;
};

// The gradients of the scores, summed over one thread's sentences.
class Backward {
  public:
    Backward(const CrfCall& call, const Transitions& m)
        : call_(call), m_(m), start_(m.K), end_(m.K), transitions_(m.K * m.K), counts_(m.K * m.P), posterior_(m.P),
          ratio_(m.P), back_(m.P) {}

    // Adds `weight` times the expected counts of sentence b, p(y_t = j) and their like.
    void run(int64_t b, const std::vector<int64_t>& words, float weight) {
        const int64_t K = m_.K, n = (int64_t)words.size();
        const Forward forward(call_, m_, b);
        float* grad = call_.grad_emissions + b * call_.T * K;
        forward.finish(n, posterior_.data());
        for (int64_t j = 0; j < K; j++) end_[j] += weight * posterior_[j];
        for (int64_t t = n - 1; t >= 0; t--) {
            for (int64_t j = 0; j < K; j++) grad[words[t] * K + j] = weight * posterior_[j];
            if (t > 0) retreat(forward, t, weight);
        }
        for (int64_t j = 0; j < K; j++) start_[j] += weight * posterior_[j];
    }

    // Takes the gold sequence's counts off.
    void take_gold(int64_t b, const std::vector<int64_t>& words, float weight) {
        const int64_t K = m_.K, *tags = call_.tags + b * call_.T;
        start_[tags[words.front()]] -= weight;
        end_[tags[words.back()]] -= weight;
        for (size_t n = 0; n < words.size(); n++) {
            call_.grad_emissions[(b * call_.T + words[n]) * K + tags[words[n]]] -= weight;
            if (n) transitions_[tags[words[n - 1]] * K + tags[words[n]]] -= weight;
        }
    }

    // Adds this thread's sums to the caller's gradients.
    void add_to_totals() const {
        for (int64_t i = 0; i < m_.K; i++) {
            call_.grad_start[i] += start_[i];
            call_.grad_end[i] += end_[i];
            for (int64_t j = 0; j < m_.K; j++)
                call_.grad_transitions[i * m_.K + j] +=
                    transitions_[i * m_.K + j] + counts_[i * m_.P + j] * m_.weights[i * m_.P + j];
        }
    }

  private:
    // From the posterior of position t to that of t - 1; counts_ gets a(i) p(j) / s(j), still without M(i, j).
    void retreat(const Forward& forward, int64_t t, float weight) {
        const int64_t K = m_.K, P = m_.P;
        const float *sums = forward.sums(t), *before = forward.alpha(t - 1);
        float inexact = 0;
#pragma omp simd reduction(+ : inexact)
        for (int64_t j = 0; j < P; j++) {
            ratio_[j] = sums[j] >= kSmall ? posterior_[j] / std::max(sums[j], kSmall) : 0.0f;
            inexact += sums[j] >= kSmall ? 0.0f : posterior_[j];
        }
        weighted_rows(ratio_.data(), m_.transposed.data(), K, P, back_.data());
        for (int64_t j = 0; j < P; j += kLanes) {
            const Vector ratio = weight * load(&ratio_[j]);
            for (int64_t i = 0; i < K; i++) {
                float* counts = &counts_[i * P + j];
                store(counts, load(counts) + before[i] * ratio);
            }
        }
#pragma omp simd
        for (int64_t i = 0; i < P; i++) back_[i] *= before[i];
        if (inexact > 0) retreat_in_log_space(forward, t, weight);
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t i = 0; i < P; i++) total += back_[i];
        const float scale = 1 / total;  // so that rounding never adds up
#pragma omp simd
        for (int64_t i = 0; i < P; i++) posterior_[i] = back_[i] * scale;
    }

    void retreat_in_log_space(const Forward& forward, int64_t t, float weight) {
        const float *sums = forward.sums(t), *before = forward.log_alpha(t - 1);
        for (int64_t j = 0; j < m_.K; j++) {
            if (sums[j] >= kSmall || posterior_[j] == 0) continue;
            const float arriving = forward.arrive_in_log_space(t, j);
            for (int64_t i = 0; i < m_.K; i++) {
                const float pair = posterior_[j] * std::exp(before[i] + m_.scores[i * m_.P + j] - arriving);
                back_[i] += pair;
                transitions_[i * m_.K + j] += weight * pair;
            }
        }
    }

    const CrfCall& call_;
    const Transitions& m_;
    Floats start_, end_, transitions_, counts_, posterior_, ratio_, back_;
};

std::vector<int64_t> real_positions(const CrfCall& call, int64_t b) {
    std::vector<int64_t> words;
    words.reserve(call.T);
    for (int64_t t = 0; t < call.T; t++)
        if (call.mask[b * call.T + t]) words.push_back(t);
    return words;
}

bool tags_in_range(const CrfCall& call, const int64_t* tags, const std::vector<int64_t>& words) {
    return std::all_of(words.begin(), words.end(), [&](int64_t t) { return tags[t] >= 0 && tags[t] < call.K; });
}

// The gold sequence's score.
double gold_score(const CrfCall& call, int64_t b, const std::vector<int64_t>& words) {
    const int64_t K = call.K, *tags = call.tags + b * call.T, first = tags[words.front()], last = tags[words.back()];
    double score = (double)call.start[first] + call.end[last];
    for (size_t n = 0; n < words.size(); n++) {
        score += call.emissions[(b * call.T + words[n]) * K + tags[words[n]]];
        if (n) score += call.transitions[tags[words[n - 1]] * K + tags[words[n]]];
    }
    return score;
}

void best_path(const CrfCall& call, const Transitions& transitions, int64_t b, const std::vector<int64_t>& words) {
    const int64_t K = transitions.K, P = transitions.P, n = (int64_t)words.size();
    const float* emissions = call.emissions + b * call.T * K;
    Floats score(P, kImpossible), best(P);
    std::vector<int32_t> origin(n * P);
    for (int64_t j = 0; j < K; j++) score[j] = call.start[j] + emissions[words[0] * K + j];
    for (int64_t t = 1; t < n; t++) {
        for (int64_t j = 0; j < P; j += kLanes) {
            Vector highest = score[0] + load(&transitions.scores[j]);
            IntVector from = {};
            for (int32_t i = 1; i < K; i++) {
                const Vector candidate = score[i] + load(&transitions.scores[i * P + j]);
                const IntVector better = candidate > highest;
                highest = better ? candidate : highest;
                from = better ? i + IntVector{} : from;
            }
            store(&best[j], highest);
            std::memcpy(&origin[t * P + j], &from, sizeof from);
        }
        for (int64_t j = 0; j < K; j++) best[j] += emissions[words[t] * K + j];
        const float peak = maximum(best.data(), K);  // small numbers keep their digits in a long sentence
        for (int64_t j = 0; j < K; j++) score[j] = best[j] - peak;
    }
    int64_t tag = 0;
    for (int64_t j = 1; j < K; j++)
        if (score[j] + call.end[j] > score[tag] + call.end[tag]) tag = j;
    for (int64_t t = n - 1; t >= 0; t--) {
        call.path[b * call.T + words[t]] = tag;
        tag = t ? origin[t * P + tag] : 0;
    }
}

bool worth_threads(const CrfCall& call) { return call.threads > 1 && call.B * call.T * call.K * call.K > 200000; }

}  // namespace

// Returns the first sentence with a tag outside 0..K-1, -1 if there is none.
extern "C" int64_t crf_loss(const CrfCall* arguments) {
    const CrfCall& call = *arguments;
    const Transitions transitions(call.transitions, call.K);
    int64_t wrong = call.B;
#pragma omp parallel for num_threads((int)call.threads) schedule(dynamic, 4) reduction(min : wrong) if (worth_threads(call))
    for (int64_t b = 0; b < call.B; b++) {
        const std::vector<int64_t> words = real_positions(call, b);
        call.loss[b] = 0;
        if (words.empty()) continue;
        if (call.tags && !tags_in_range(call, call.tags + b * call.T, words)) {
            wrong = std::min(wrong, b);
            continue;
        }
        const double log_z = Forward(call, transitions, b).run(call.emissions + b * call.T * call.K, words);
        call.loss[b] = (float)(log_z - (call.tags ? gold_score(call, b, words) : 0.0));
    }
    return wrong == call.B ? -1 : wrong;
}

// After crf_loss, with its tape: the gradient of the sum of grad_loss times loss.
extern "C" void crf_loss_backward(const CrfCall* arguments) {
    const CrfCall& call = *arguments;
    const Transitions transitions(call.transitions, call.K);
    std::fill(call.grad_start, call.grad_start + call.K, 0.0f);
    std::fill(call.grad_end, call.grad_end + call.K, 0.0f);
    std::fill(call.grad_transitions, call.grad_transitions + call.K * call.K, 0.0f);
#pragma omp parallel num_threads((int)call.threads) if (worth_threads(call))
    {
        Backward backward(call, transitions);
#pragma omp for schedule(static)
        for (int64_t b = 0; b < call.B; b++) {
            const std::vector<int64_t> words = real_positions(call, b);
            if (words.empty()) continue;
            backward.run(b, words, call.grad_loss[b]);
            if (call.tags) backward.take_gold(b, words, call.grad_loss[b]);
        }
#pragma omp critical
        backward.add_to_totals();
    }
}

extern "C" void crf_viterbi(const CrfCall* arguments) {
    const CrfCall& call = *arguments;
    const Transitions transitions(call.transitions, call.K);
#pragma omp parallel for num_threads((int)call.threads) schedule(dynamic, 4) if (worth_threads(call))
    for (int64_t b = 0; b < call.B; b++) {
        const std::vector<int64_t> words = real_positions(call, b);
        if (!words.empty()) best_path(call, transitions, b, words);
    }
}
