//! Two texts, line by line.

/// The lines that differ, each behind `-` or `+`, with up to two lines around them.
pub(crate) fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // Lengths of the longest common subsequences of what is left of both.
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for (i, was) in old.iter().enumerate().rev() {
        for (j, is) in new.iter().enumerate().rev() {
            common[i][j] = if was == is {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let mut lines = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    let mut out = String::new();
    let mut left_out = false;
    for (at, (sign, line)) in lines.iter().enumerate() {
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len());
        if lines[around].iter().all(|(sign, _)| *sign == ' ') {
            left_out = true;
            continue;
        }
        if left_out && !out.is_empty() {
            out.push_str("  ..\n");
        }
        left_out = false;
        out.push_str(format!("{sign} {line}").trim_end());
        out.push('\n');
    }
    out
}

/// How many lines are shown around one that differs.
const AROUND: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_shown_with_what_is_around() {
        for (old, new, expected) in [
            ("a\nb\n", "a\nb\n", ""),
            ("", "a\n\nb\n", "+ a\n+\n+ b\n"),
            ("a\n", "", "- a\n"),
            (
                "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
                "1\n2\n3\nx\n5\n6\n7\n8\n",
                "  2\n  3\n- 4\n+ x\n  5\n  6\n  7\n  8\n- 9\n",
            ),
            (
                "1\n2\n3\n4\n5\n6\n7\n8\n",
                "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n",
                "+ 0\n  1\n  2\n  ..\n  7\n  8\n+ 9\n",
            ),
        ] {
            assert_eq!(diff(old, new), expected);
        }
    }
}
