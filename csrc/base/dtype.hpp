// The number types of images.
#pragma once

namespace comix {

enum class Dtype { float32, float64, float16, bfloat16, uint8 };

}  // namespace comix
