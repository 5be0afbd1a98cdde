"""Key map of recursive joint attention: the released code's state dict.

Source   praveena2j/RecurrentJointAttentionwithLSTMs at ea196b3, models/orig_cam.py: CAM. Names are those of
         ``zoo.weights.dense_coattention``, with one more BiLSTM for each modality.
"""

from zoo.weights import Format
from zoo.weights.dense_coattention import audio_visual, audio_visual_sizes, has, layers_alone

REPOSITORY = "praveena2j/RecurrentJointAttentionwithLSTMs at ea196b3"
BILSTMS = {"audio_extract": "audio_temporal", "video_extract": "video_temporal", "Joint": "temporal"}

FORMATS = (
    Format(
        name="released code",
        source=f"{REPOSITORY}, models/orig_cam.py: CAM",
        recognises=lambda source: has(source, "video_attn", "coattn", *BILSTMS),
        sizes=lambda source: audio_visual_sizes(source, "audio_extract.rnn.weight_ih_l0"),
        translate=lambda source, model: audio_visual(source, model, BILSTMS),
    ),
    layers_alone(REPOSITORY, ("video", "audio"), joint=True),
)
