//! Scores of classes.

/// Logits to shares that sum to 1; a NaN counts as nothing.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f32> =
        logits.iter().map(|logit| (logit - most).exp()).map(|e| if e.is_nan() { 0.0 } else { e }).collect();
    let sum: f32 = exps.iter().sum();
    exps.into_iter().map(|e| if sum > 0.0 { e / sum } else { 0.0 }).collect()
}

/// A logit to a share.
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The `most` highest, `(index, score)`, the highest first.
pub fn top(scores: &[f32], most: usize) -> Vec<(usize, f32)> {
    let mut all: Vec<(usize, f32)> =
        scores.iter().copied().enumerate().filter(|(_, s)| !s.is_nan()).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_however_large_the_logits() {
        let shares = softmax(&[1000.0, 1001.0, f32::NAN, f32::NEG_INFINITY]);
        assert!((shares[1] - 0.731_058_6).abs() < 1e-5 && shares[2] == 0.0 && shares[3] == 0.0, "{shares:?}");
        assert_eq!(softmax(&[]), [0.0; 0]);
        assert_eq!(softmax(&[f32::NAN]), [0.0]);
        assert_eq!(top(&[0.1, 0.7, f32::NAN, 0.2], 2), [(1, 0.7), (3, 0.2)]);
        assert!((sigmoid(0.0) - 0.5).abs() < 1e-6 && sigmoid(-1e9) == 0.0);
    }
}
