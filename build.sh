g++ -std=c++17 -O3 -g -I/work/main/csrc /tmp/prof/drive.cpp /work/main/csrc/comixup/*.cpp /work/main/csrc/gridcut/*.cpp -o /tmp/prof/drive "$@"
