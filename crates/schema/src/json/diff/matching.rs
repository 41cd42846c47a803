//! The largest set of edges of a bipartite graph in which no two share an end: who stands for whom when combined
//! schemas are compared.

/// For each left end the right end it is matched with. `edges[left]` are the right ends it may have; `step` is told
/// how much was done, and may put an end to it.
///
/// # Errors
/// Those of `step`.
pub(super) fn maximum<E>(
    edges: &[Vec<usize>],
    right_count: usize,
    mut step: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<Option<usize>>, E> {
    let mut left_of: Vec<Option<usize>> = vec![None; right_count];
    let mut right_of: Vec<Option<usize>> = vec![None; edges.len()];
    for start in 0..edges.len() {
        // Breadth first for a path of edges that are by turns not in and in the matching, and ends free.
        let mut came_from: Vec<Option<usize>> = vec![None; right_count];
        let mut to_do = vec![start];
        let mut free = None;
        let mut at = 0;
        'search: while let Some(&left) = to_do.get(at) {
            at += 1;
            let neighbours = edges.get(left).map_or(&[][..], Vec::as_slice);
            step(neighbours.len())?;
            for &right in neighbours {
                let Some(seen @ None) = came_from.get_mut(right) else {
                    continue;
                };
                *seen = Some(left);
                match left_of.get(right).copied().flatten() {
                    Some(next) => to_do.push(next),
                    None => {
                        free = Some(right);
                        break 'search;
                    }
                }
            }
        }
        let mut next = free;
        while let Some(right) = next {
            let Some(left) = came_from.get(right).copied().flatten() else {
                break;
            };
            next = right_of
                .get_mut(left)
                .and_then(|place| place.replace(right));
            if let Some(place) = left_of.get_mut(right) {
                *place = Some(left);
            }
            if left == start {
                break;
            }
        }
    }
    Ok(right_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(edges: &[Vec<usize>], right_count: usize) -> usize {
        let matched = maximum(edges, right_count, |_| Ok::<(), ()>(())).unwrap();
        let mut used: Vec<usize> = matched.iter().copied().flatten().collect();
        for (left, right) in matched.iter().enumerate() {
            assert!(right.is_none_or(|right| edges[left].contains(&right)));
        }
        used.sort_unstable();
        used.dedup();
        used.len()
    }

    #[test]
    fn an_earlier_choice_is_revised() {
        assert_eq!(size(&[vec![0, 1], vec![0]], 2), 2);
        assert_eq!(size(&[vec![0, 1], vec![0, 2], vec![0]], 3), 3);
        assert_eq!(size(&[vec![0], vec![0], vec![0]], 1), 1);
        assert_eq!(size(&[vec![], vec![1]], 2), 1);
        assert_eq!(size(&[], 0), 0);
    }

    #[test]
    fn every_small_graph_has_its_largest_matching() {
        // All graphs of 3 + 3 ends, against trying all assignments.
        for bits in 0_u32..512 {
            let edges: Vec<Vec<usize>> = (0..3)
                .map(|left| {
                    (0..3)
                        .filter(|right| bits >> (left * 3 + right) & 1 == 1)
                        .collect()
                })
                .collect();
            let mut best = 0;
            for order in [
                [0, 1, 2],
                [0, 2, 1],
                [1, 0, 2],
                [1, 2, 0],
                [2, 0, 1],
                [2, 1, 0],
            ] {
                let count = (0..3)
                    .filter(|&left| edges[left].contains(&order[left]))
                    .count();
                best = best.max(count);
            }
            assert_eq!(size(&edges, 3), best, "{bits:09b}");
        }
    }
}
