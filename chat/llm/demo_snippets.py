"""The small programs that the demonstration model writes, by language."""

SNIPPETS = {
    "python": '''\
from collections import Counter


def most_common_words(text: str, *, limit: int = 3) -> list[tuple[str, int]]:
    """Return the words that occur most often, the most frequent first."""
    words = (word.strip(".,;:!?").lower() for word in text.split())
    return Counter(filter(None, words)).most_common(limit)


print(most_common_words("the quick fox and the lazy dog and the moon"))''',
    "javascript": """\
const groupBy = (items, keyOf) =>
  items.reduce((groups, item) => {
    (groups[keyOf(item)] ??= []).push(item);
    return groups;
  }, {});

console.log(groupBy(["ant", "bee", "bear"], (word) => word[0]));""",
    "typescript": """\
function groupBy<T, K extends string>(items: T[], keyOf: (item: T) => K): Record<K, T[]> {
  const groups = {} as Record<K, T[]>;
  for (const item of items) {
    (groups[keyOf(item)] ??= []).push(item);
  }
  return groups;
}""",
    "rust": """\
use std::collections::HashMap;

fn count_words(text: &str) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}""",
    "go": """\
package main

import (
\t"fmt"
\t"strings"
)

func main() {
\tcounts := map[string]int{}
\tfor _, word := range strings.Fields("the cat and the dog") {
\t\tcounts[word]++
\t}
\tfmt.Println(counts)
}""",
    "java": """\
import java.util.List;
import java.util.stream.Collectors;

record Word(String text, int count) {
    static List<Word> frequent(List<Word> words, int least) {
        return words.stream().filter(w -> w.count() >= least).collect(Collectors.toList());
    }
}""",
    "bash": """\
#!/usr/bin/env bash
set -euo pipefail

# The ten largest files below a folder.
find "${1:-.}" -type f -printf '%s\\t%p\\n' | sort -rn | head -n 10""",
    "sql": """\
SELECT author.name, COUNT(*) AS books, MAX(book.published_on) AS latest
FROM author
JOIN book ON book.author_id = author.id
GROUP BY author.name
HAVING COUNT(*) > 1
ORDER BY books DESC;""",
    "html": """\
<article>
  <h2>Reading list</h2>
  <ul>
    <li><a href="/first/">A first book</a></li>
    <li><a href="/second/">A second one</a></li>
  </ul>
</article>""",
    "css": """\
.cards {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr));
  gap: 1.5rem;
}""",
    "c": """\
#include <stdio.h>

int main(void) {
    int fibonacci[10] = {0, 1};
    for (int i = 2; i < 10; i++)
        fibonacci[i] = fibonacci[i - 1] + fibonacci[i - 2];
    for (int i = 0; i < 10; i++)
        printf("%d ", fibonacci[i]);
    return 0;
}""",
}
