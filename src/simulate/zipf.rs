//! Random numbers and Zipf's law, the same on every machine and in every version: integers, and
//! floating point only where IEEE 754 fixes every bit.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

/// SplitMix64's finalizer: a bijection that leaves no pattern.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// SplitMix64's step: the golden ratio in 64 bits.
pub(super) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias of 2^-64 times `bound` is let stand.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// True with the probability that [`threshold`] made of a share.
    pub(super) fn hits(&mut self, threshold: u64) -> bool {
        self.next() < threshold
    }
}

/// A share between 0 and 1 as the bound that a random `u64` stays below.
pub(super) fn threshold(share: f64) -> u64 {
    if share >= 1.0 { u64::MAX } else { (share.max(0.0) * 18_446_744_073_709_551_616.0) as u64 }
}

/// Ranks 0.. with weights 1/1, 1/2, 1/3 …, drawn in O(1) by Walker's alias method (Vose, 1991).
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    /// By slot: below this the slot's own rank is drawn, else its alias.
    slots: Vec<(u64, u32)>,
}

impl Zipf {
    pub(super) fn new(ranks: u32) -> Self {
        let count = ranks.max(1);
        let total: f64 = (1..=count).map(|rank| 1.0 / f64::from(rank)).sum();
        let scale = f64::from(count) / total;
        // Weights fall, so those above the mean come first and are filled from in order.
        let mut weights: Vec<f64> = (1..=count).map(|rank| scale / f64::from(rank)).collect();
        let mut slots: Vec<(u64, u32)> = (0..count).map(|rank| (u64::MAX, rank)).collect();
        let mut large = 0_usize;
        let first_small = weights.partition_point(|weight| *weight >= 1.0);
        let mut pending: Vec<usize> = (first_small..weights.len()).collect();
        while let Some(small) = pending.pop() {
            if large >= first_small {
                break;
            }
            let own = weights.get(small).copied().unwrap_or(1.0);
            if let Some(slot) = slots.get_mut(small) {
                *slot = (threshold(own), large as u32);
            }
            if let Some(giver) = weights.get_mut(large) {
                *giver -= 1.0 - own;
                if *giver < 1.0 {
                    pending.push(large);
                    large += 1;
                }
            }
        }
        Self { slots }
    }

    /// A rank; 0 is the most frequent.
    pub(super) fn draw(&self, random: &mut Random) -> u32 {
        let wide = u128::from(random.next()) * self.slots.len() as u128;
        let slot = (wide >> 64) as usize;
        match self.slots.get(slot) {
            Some((threshold, _)) if (wide as u64) < *threshold => slot as u32,
            Some((_, alias)) => *alias,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_drawn_by_one_over_rank() {
        let zipf = Zipf::new(1000);
        let mut random = Random::new(7);
        let mut counts = vec![0_u32; 1000];
        for _ in 0..1_000_000 {
            counts[zipf.draw(&mut random) as usize] += 1;
        }
        let harmonic: f64 = (1..=1000).map(|rank| 1.0 / f64::from(rank)).sum();
        for rank in [1_u32, 2, 5, 20, 100, 900] {
            let expected = 1e6 / harmonic / f64::from(rank);
            let seen = f64::from(counts[rank as usize - 1]);
            assert!(
                (seen - expected).abs() < 6.0 * expected.sqrt(),
                "{rank}: {seen} of {expected}"
            );
        }
        assert!(counts.iter().all(|count| *count > 0));
    }

    #[test]
    fn one_rank_is_always_drawn() {
        let zipf = Zipf::new(1);
        let mut random = Random::new(1);
        assert!((0..100).all(|_| zipf.draw(&mut random) == 0));
        assert_eq!(Zipf::new(0).draw(&mut random), 0);
    }

    #[test]
    fn splitmix_is_the_published_one() {
        // The first outputs for seed 1234567 in the reference implementation.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        assert_eq!(random.next(), 9_817_491_932_198_370_423);
    }
}
