#!/bin/sh
# Splits a video into pictures: reads INPUT_FILE_PATH, writes TMP_OUTPUT_DIR/<name of the video>/, in it a JPEG for every
# so many seconds, named by its time (00004.0s.jpg), audio.wav (16 kHz, mono) when the video has sound, and video.json.
# Runs in an image with ffmpeg and busybox (`cargo xtask image ffmpeg`); the crate beside it does the same to Motion-JPEG
# and GIF in wasm. Options come as environment variables:
#
#   FRAME_EVERY=2     seconds from one picture to the next, 0.1 to 3600, in tenths
#   FRAMES_MOST=500   pictures of one video; a longer video gets them further apart
#   AUDIO=wav|none    whether its sound is wanted
#
# Exit status: 0 all done, 1 bad options or no input, 2 a video that cannot be read.
set -eu

end() { # STATUS MESSAGE
    echo "split: $2" >&2
    exit "$1"
}

within() { # NUMBER LEAST MOST
    awk -v n="$1" -v least="$2" -v most="$3" \
        'BEGIN { exit !(n ~ /^[0-9]+(\.[0-9]+)?$/ && n + 0 >= least && n + 0 <= most) }'
}

every=${FRAME_EVERY:-2} most=${FRAMES_MOST:-500} audio=${AUDIO:-wav}
within "$every" 0.1 3600 || end 1 "FRAME_EVERY \`$every\`: seconds from 0.1 to 3600"
case $most in *[!0-9]*) most=0 ;; esac
within "$most" 1 9000 || end 1 "FRAMES_MOST \`${FRAMES_MOST:-}\`: 1 to 9000"
case $audio in wav | none) ;; *) end 1 "AUDIO \`$audio\`: wav or none" ;; esac
[ -n "${INPUT_FILE_PATH:-}" ] || end 1 "INPUT_FILE_PATH is not set"
[ -n "${TMP_OUTPUT_DIR:-}" ] || end 1 "TMP_OUTPUT_DIR is not set"
[ ! -d "$INPUT_FILE_PATH" ] || end 1 "one video at a time: the input is a folder"

name=${INPUT_FILE_PATH##*/}
work=$(mktemp -d)
[ -s "$INPUT_FILE_PATH" ] || end 2 "$name: the file is empty"
# Under a name that says nothing: neither ffmpeg's guesses nor what it says depend on the name of an upload.
ln -s "$INPUT_FILE_PATH" "$work/video"

# A video may name further files, as playlists do: it gets files only, and this container has nothing but its own.
# Whoever reads no output gets status 1 from ffmpeg; what it says is what is wanted.
ffmpeg -nostdin -hide_banner -protocol_whitelist file -i "$work/video" 2>"$work/about" || true
said() { sed -n "$1" "$work/about" | head -n 1; }
complaint() { sed -n 's/^\[[^]]*\] //; /./{p;q}' "$1"; }
stream() { said "s/^  Stream #0:[0-9][^ ]* $1/&/p"; }

[ -n "$(stream 'Video: ')" ] || end 2 "$name: ffmpeg finds no video in it: $(complaint "$work/about")"
duration=$(said 's/^  Duration: \([0-9]*\):\([0-9]*\):\([0-9.]*\),.*/\1 \2 \3/p' |
    awk '{ printf "%.2f", $1 * 3600 + $2 * 60 + $3 }')
fps=$(stream 'Video: ' | sed -n 's/.*, \([0-9.]*\) fps,.*/\1/p')
has_audio=false
if [ "$audio" = wav ] && [ -n "$(stream 'Audio: ')" ]; then has_audio=true; fi
within "${duration:-0}" 0 86400 || end 2 "$name: it is longer than a day"

# In tenths of a second, and never more pictures than that: `every` and how many pictures there are until the end.
plan=$(awk -v every="$every" -v most="$most" -v duration="${duration:-0}" 'function up(n) { return int(n) + (n > int(n)) }
    BEGIN {
        tenths = int(every * 10 + 0.5); least = up(duration * 10 / most)
        if (least > tenths) tenths = least
        n = duration > 0 ? up(duration * 10 / tenths) : most
        printf "%.1f %d", tenths / 10, n
    }')
every=${plan% *} most=${plan#* }

mkdir -p "$TMP_OUTPUT_DIR/$name"
cd "$TMP_OUTPUT_DIR/$name"
# What is on the screen at each moment: a picture is shown from its own time on, so times are rounded up to a moment, and
# of those that meet there the last one stays. Pixels that are not square are made so.
set -- -map 0:v:0 -vf "fps=1/$every:start_time=0:round=up:eof_action=pass,scale=trunc(iw*sar/2+0.5)*2:trunc(ih/2+0.5)*2,setsar=1,format=yuvj420p" \
    -q:v 3 -frames:v "$most" -f image2 f%05d.jpg
if [ $has_audio = true ]; then set -- "$@" -map 0:a:0 -ac 1 -ar 16000 -c:a pcm_s16le -f wav audio.wav; fi
ffmpeg -nostdin -hide_banner -v error -protocol_whitelist file -i "$work/video" "$@" 2>"$work/errors" ||
    end 2 "$name: ffmpeg cannot read it: $(complaint "$work/errors")"

frames=0
for file in f*.jpg; do
    [ -e "$file" ] || end 2 "$name: ffmpeg decodes no picture of it: $(complaint "$work/errors")"
    mv "$file" "$(awk -v n=$frames -v every="$every" 'BEGIN { printf "%07.1fs.jpg", n * every }')"
    frames=$((frames + 1))
done
# Pictures may be larger or smaller than the stream says: turned, or with square pixels.
size=$(ffmpeg -nostdin -hide_banner -i 00000.0s.jpg 2>&1 | sed -n 's/.*Video: .*, \([0-9]*\)x\([0-9]*\).*/"width":\1,"height":\2/p')
printf '{%s,"duration":%s,"fps":%s,"has_audio":%s,"every":%s,"frames":%s}\n' \
    "$size" "${duration:-null}" "${fps:-null}" "$has_audio" "$every" "$frames" >video.json
echo "$name: $(cat video.json)"
