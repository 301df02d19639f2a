#!/usr/bin/env bash
# Runs `finetune bench` and the PyTorch programs with the same keys in turns, and prints medians and ratios as a
# markdown table. Raw JSON lines stay in the output folder.
set -euo pipefail

usage() {
    cat <<'TEXT'
compare.sh --peers DIR --model DIR --data DIR [--tuned DIR] [--python BIN] [--finetune BIN] [--rounds N] [--rows "ROW ..."] [--output DIR]

  --peers DIR      the folder of torch_step.py and torch_finetune.py             [PEERS]
  --model DIR      the pretrained model that is fine-tuned                       [MODEL]
  --data DIR       the folder of train.csv and test.csv                          [DATA]
  --tuned DIR      a fine-tuned model, for the row predict                       [TUNED]
  --python BIN     a Python with torch, transformers, safetensors                [PYTHON, or python3]
  --finetune BIN   the binary                    [FINETUNE, or target/release/finetune of this repository]
  --rounds N       runs of each program for each row                             [ROUNDS, or 3]
  --rows "ROW .."  rows of the table: step:SHAPE:PRECISION[:BATCH[:LENGTH]], matmul:PRECISION,
                   train:PRECISION[:EPOCHS[:EXAMPLES]] or predict
                   [ROWS, or: matmul, step of minilm and base, and train, each in f32 and bf16]
  --output DIR     where the JSON lines go; must not hold any yet    [OUTPUT, or a new temporary folder]

The name in brackets is the environment variable that is read where the option is not given.
Both programs use all cores; THREADS sets another number for both.
TEXT
}

fail() {
    echo "error: $*" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
sentence="A thrilling film with a clever ending."
peers=${PEERS:-} tuned=${TUNED:-} model=${MODEL:-} data=${DATA:-} python=${PYTHON:-python3} rounds=${ROUNDS:-3} output=${OUTPUT:-}
finetune=${FINETUNE:-$root/target/release/finetune} threads=${THREADS:-0}
rows=${ROWS:-matmul:f32 matmul:bf16 step:minilm:f32 step:minilm:bf16 step:base:f32 step:base:bf16 train:f32 train:bf16}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --peers | --model | --data | --tuned | --python | --finetune | --rounds | --rows | --output)
            [ $# -ge 2 ] || fail "$1: a value is missing; see --help"
            printf -v "${1#--}" %s "$2"
            shift 2 ;;
        *) fail "$1: no such option; see --help" ;;
    esac
done

check_row() {
    case $1 in
        step:tiny:f32* | step:tiny:bf16* | step:minilm:f32* | step:minilm:bf16*) ;;
        step:base:f32* | step:base:bf16* | step:large:f32* | step:large:bf16*) ;;
        matmul:f32 | matmul:bf16) ;;
        predict)
            [ -f "$tuned/config.json" ] || fail "--tuned '$tuned': no config.json there; give a fine-tuned model" ;;
        train:f32* | train:bf16*)
            [ -f "$model/config.json" ] || fail "--model '$model': no config.json there; give the folder of a model"
            for file in train.csv test.csv; do
                [ -f "$data/$file" ] || fail "--data '$data': no $file there; give the folder that holds it"
            done ;;
        *) fail "--rows: '$1' is no row; see --help" ;;
    esac
}

for file in torch_step.py torch_finetune.py; do
    [ -f "$peers/$file" ] || fail "--peers '$peers': no $file there; give the folder of the PyTorch programs"
done
[ -x "$finetune" ] || fail "--finetune '$finetune': no program there; run 'cargo build --release', or give its path"
"$python" -c 'import torch, transformers' 2>/dev/null || fail "--python '$python': can't import torch and transformers"
[[ $rounds =~ ^[1-9][0-9]*$ && $threads =~ ^[0-9]+$ ]] || fail "--rounds and THREADS take whole numbers, the first from 1"
for row in $rows; do check_row "$row"; done
output=${output:-$(mktemp -d)}
mkdir -p "$output"
[ -z "$(find "$output" -name '*.jsonl' -print -quit)" ] || fail "--output '$output': holds earlier results; give another folder"

ours=() theirs=()
[ "$threads" = 0 ] || { ours=(--threads "$threads"); theirs=(--threads "$threads"); }

# Milliseconds of a command from its start to its end, as a JSON line.
clock() {
    local start end
    start=$(date +%s%N)
    "$@" >/dev/null
    end=$(date +%s%N)
    echo "{\"start_to_answer_ms\": $(((end - start) / 1000000))}"
}

# transformers reports on its progress; what went wrong is shown if it fails.
torch() {
    "$python" "$@" 2>"$output/stderr.txt" || { cat "$output/stderr.txt" >&2; return 1; }
}

# The flags of a row, shared by both programs but for the spelling of the precision.
run() {
    local side=$1 row=$2 parts flags precision script
    IFS=: read -r -a parts <<<"$row"
    case ${parts[0]} in
        predict)
            case $side in
                finetune) clock "$finetune" predict --model "$tuned" "${ours[@]}" "$sentence" ;;
                torch) clock torch "$here/torch_predict.py" "$tuned" "$sentence" ;;
            esac
            return ;;
        step)
            flags=(--shape "${parts[1]}" --batch "${parts[3]:-16}" --length "${parts[4]:-128}")
            precision=${parts[2]} script=$peers/torch_step.py ;;
        matmul) flags=() precision=${parts[1]} script=$here/torch_linear.py ;;
        train)
            flags=(--model "$model" --train "$data/train.csv" --eval "$data/test.csv" --epochs "${parts[2]:-1}")
            [ -z "${parts[3]:-}" ] || flags+=(--limit "${parts[3]}")
            precision=${parts[1]} script=$peers/torch_finetune.py ;;
    esac
    case $side in
        finetune) "$finetune" bench "${parts[0]}" "${flags[@]}" --precision "$precision" "${ours[@]}" ;;
        torch) torch "$script" "${flags[@]}" --precision "${precision/f32/fp32}" "${theirs[@]}" ;;
    esac
}

for ((round = 1; round <= rounds; round++)); do
    for row in $rows; do
        for side in finetune torch; do
            echo "round $round of $rounds: $row, $side" >&2
            run $side "$row" >>"$output/$row.$side.jsonl" || fail "$row: $side failed in round $round"
        done
    done
done
"$python" "$here/table.py" "$output" $rows
echo "raw results: $output" >&2
