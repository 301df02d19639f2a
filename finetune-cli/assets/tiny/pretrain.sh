#!/bin/sh
# Pretrains the bundled model: ./pretrain.sh DATA VADER OUTPUT
#
# DATA    a folder with the data sets that README.md lists
# VADER   the folder hutto_ICWSM_2014 of the source archive of vaderSentiment 3.3.2
# OUTPUT  where the model goes
#
# The program is `finetune`, or what FINETUNE names.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$1
vader=$2
output=$3

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# One text a line: the third column, without the few bytes that are no UTF-8.
for name in amazonReviewSnippets movieReviewSnippets nytEditorialSnippets; do
    cut -f3 "$vader/${name}_GroundTruth.txt" | iconv -c -f UTF-8 -t UTF-8 > "$work/$name.txt"
done

# So small a network does not learn by heart what it reads 16 times: no dropout. Fine-tuning has it again.
sed 's/dropout_prob": 0.1/dropout_prob": 0.0/' "$here/config.json" > "$work/config.json"

"${FINETUNE:-finetune}" pretrain --architecture "$work/config.json" --vocab-size 7000 --text \
    "$data/sst2/train.csv" "$data/sst2/validation.csv" "$data/cr/reviews.tsv" "$data/ag_news/train.jsonl" \
    "$data/msrp/train.csv" "$data/msrp/validation.csv" "$data/sts15/train.csv" "$data/sts15/test.csv" \
    "$data/trec/train.jsonl" "$here/../reviews/train.csv" "$work/amazonReviewSnippets.txt" \
    "$work/movieReviewSnippets.txt" "$work/nytEditorialSnippets.txt" \
    --line-by-line --epochs 16 --batch-size 64 --learning-rate 2e-3 --adam-beta2 0.98 \
    --precision bf16 --save-dtype f16 --output "$output"
cp "$here/config.json" "$output/config.json"
